"""May they: Kubernetes RBAC decides, by a SubjectAccessReview for reads and by impersonation for writes."""

from collections.abc import Iterable
from enum import Enum
from typing import Final

from rollcall.names import GROUP, Kind
from rollcall_api.bounded import AgedCache
from rollcall_api.cluster import Cluster, Impersonation
from rollcall_api.problems import Forbidden
from rollcall_api.users import Identity

REMEMBER_SECONDS: Final = 10.0
AWAY_SECONDS: Final = 300.0
"""How much longer an answer about a person serves while the API server gives none."""
OWN: Final = "own"
"""A subresource of `jobinvocations` and `joboutputs` that exists in roles only: those that the user asked for."""
_OF_OWN: Final = {"get": "get", "list": "list", "patch": "cancel"}
"""What may be done to them, and the verb for it in a role: of what a patch could change the facade cancels only."""
_OWNED: Final = frozenset({Kind.JOB_INVOCATION, Kind.JOB_OUTPUT})
_SERVICE_ACCOUNT: Final = "system:serviceaccount:"
Right = tuple[str, Kind]
"""A verb, and the kind of the objects that it is about."""
_Question = tuple[Identity, str, Kind, str]


class Reach(Enum):
    """Of which objects a user may do something."""

    ALL = "all"
    OWN = "own"
    """Those that they asked for themself."""
    NONE = "none"


class Access:
    """Decides what a user may do in one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._answers: AgedCache[_Question, tuple[bool]] = AgedCache(REMEMBER_SECONDS, AWAY_SECONDS)

    async def reach(self, user: Identity, verb: str, kind: Kind) -> Reach:
        """Of which objects of the kind the user may do this."""
        if await self.allows(user, verb, kind):
            return Reach.ALL
        if kind in _OWNED and verb in _OF_OWN and await self.allows(user, _OF_OWN[verb], kind, OWN):
            return Reach.OWN
        return Reach.NONE

    async def narrowest(self, user: Identity, rights: Iterable[Right]) -> Reach:
        """Of which objects the user has all these rights: where one of them reaches less far, no farther."""
        narrowest = Reach.ALL
        for verb, kind in rights:
            if self._answers.fresh((user, verb, kind, "")) == (True,):
                continue  # as most are, without a look at one's own
            reach = await self.reach(user, verb, kind)
            if reach is Reach.NONE:
                return reach
            narrowest = reach if narrowest is Reach.ALL else narrowest
        return narrowest

    async def allows(self, user: Identity, verb: str, kind: Kind, subresource: str = "") -> bool:
        """Whether the user may do this to all objects of the kind; remembered for ten seconds."""
        key = (user, verb, kind, subresource)
        answer = self._answers.fresh(key) or await self._answers.get(key, lambda: self._review(*key))
        return answer[0]

    async def _review(self, user: Identity, verb: str, kind: Kind, subresource: str) -> tuple[bool]:
        attributes = {"namespace": self._namespace, "verb": verb, "group": GROUP, "resource": kind.plural}
        attributes |= {"subresource": subresource} if subresource else {}
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
