"""What people have written into ConfigMaps for Rollcall to read."""

from collections.abc import Iterable

from rollcall.plan.ways import ConfigMapData
from rollcall_operator.cluster import Cluster, NotFoundError


async def read_config_maps(cluster: Cluster, namespace: str, names: Iterable[str]) -> dict[str, ConfigMapData | None]:
    """The texts in each ConfigMap, None for one that is not there. Raises ClusterError."""
    found: dict[str, ConfigMapData | None] = {}
    for name in names:
        try:
            found[name] = (await cluster.get("configmaps", namespace, name)).get("data") or {}
        except NotFoundError:
            found[name] = None
    return found
