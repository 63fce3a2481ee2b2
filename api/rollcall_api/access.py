"""May they: Kubernetes RBAC decides, by a SubjectAccessReview for reads and by impersonation for writes."""

from typing import Final

from rollcall.names import GROUP, Kind
from rollcall_api.bounded import AgedCache
from rollcall_api.cluster import Cluster, Impersonation
from rollcall_api.problems import Forbidden
from rollcall_api.users import Identity

REMEMBER_SECONDS: Final = 10.0
AWAY_SECONDS: Final = 60.0
_SERVICE_ACCOUNT: Final = "system:serviceaccount:"


class Access:
    """Decides what a user may do in one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._answers: AgedCache[tuple[Identity, str, Kind], tuple[bool]] = AgedCache(REMEMBER_SECONDS, AWAY_SECONDS)

    async def allows(self, user: Identity, verb: str, kind: Kind) -> bool:
        """Whether the user may do this to all objects of the kind; remembered for ten seconds."""
        key = (user, verb, kind)
        answer = self._answers.fresh(key) or await self._answers.get(key, lambda: self._review(*key))
        return answer[0]

    async def _review(self, user: Identity, verb: str, kind: Kind) -> tuple[bool]:
        attributes = {"namespace": self._namespace, "verb": verb, "group": GROUP, "resource": kind.plural}
        spec = {"user": user.username, "groups": list(user.groups), "resourceAttributes": attributes}
        status = await self._cluster.review_access(spec)
        return (bool(status.get("allowed")),)


def impersonate(user: Identity) -> Impersonation:
    """The headers of a write in the user's name.

    The API server derives a service account's groups from its name, and adds `system:authenticated` to everybody, so
    that neither is claimed. Raises Forbidden for the cluster's own identities: `system:` users other than service
    accounts are never impersonated, and `system:` groups, `system:masters` above all, are never claimed.
    """
    is_service_account = user.username.startswith(_SERVICE_ACCOUNT)
    if not user.username or (user.username.startswith("system:") and not is_service_account):
        raise Forbidden(f"the facade does not act for {user.username or 'nobody'}")
    groups = () if is_service_account else tuple(g for g in user.groups if not g.startswith("system:"))
    return Impersonation.of(user.username, groups)
