"""Whether the cluster's CustomResourceDefinitions know every field that this operator writes.

The API server drops a field that it does not know, without a word. With definitions of an older release, results would
be lost that way: the operator does not begin before it has those of its own.
"""

import asyncio
import logging
from typing import Final

from rollcall.resources.crd import DEFINITIONS, missing_fields, schema
from rollcall_operator.cluster import Cluster

logger = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS: Final = 2.0
_MOST_TOLD: Final = 5


async def wait_for_definitions(cluster: Cluster) -> None:
    """Return when all fields are known; say until then which are not. Raises ClusterError."""
    told: list[str] = []
    while missing := await _missing(cluster):
        if missing != told:
            more = f" and {len(missing) - _MOST_TOLD} more" if len(missing) > _MOST_TOLD else ""
            logger.error(
                "the cluster's CustomResourceDefinitions are older than this operator and lack %s%s;"
                " apply those of this release, then the operator goes on",
                ", ".join(missing[:_MOST_TOLD]),
                more,
            )
            told = missing
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def _missing(cluster: Cluster) -> list[str]:
    known = await cluster.schemas()
    return [
        definition.model.kind() + path
        for definition in DEFINITIONS
        for path in missing_fields(schema(definition), known.get(definition.model.kind(), {}))
    ]
