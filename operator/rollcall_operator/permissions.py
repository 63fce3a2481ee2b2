"""Whether somebody may do something, as the API server's own authorization says (SubjectAccessReview)."""

import asyncio
from typing import Final

from rollcall.names import GROUP, Kind
from rollcall.resources.schedule import ScheduleRequester
from rollcall_operator.cluster import Cluster

TRUST_SECONDS: Final = 5.0
"""How long an answer counts: many schedules of one person are due at the same moment."""
_LONGEST: Final = 10_000
_ACCOUNT: Final = "system:serviceaccount:"
_Question = tuple[str, tuple[str, ...], str]


class Permissions:
    """Asks the API server, and remembers what it said for a few seconds."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._answers: dict[_Question, tuple[float, bool]] = {}

    async def may_create_invocations(self, requester: ScheduleRequester, namespace: str) -> bool:
        """Whether they may create a JobInvocation in the namespace. Raises ClusterError."""
        question = (requester.username, requester.groups, namespace)
        now = asyncio.get_running_loop().time()
        known = self._answers.get(question)
        if known is not None and known[0] > now:
            return known[1]
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "LocalSubjectAccessReview",
            "metadata": {"namespace": namespace},
            "spec": {
                "user": requester.username,
                "groups": groups_of(requester),
                "resourceAttributes": {
                    "namespace": namespace,
                    "verb": "create",
                    "group": GROUP,
                    "resource": Kind.JOB_INVOCATION.plural,
                },
            },
        }
        answer = await self._cluster.create("localsubjectaccessreviews", review, urgent=True)
        allowed = bool(answer["status"]["allowed"])
        if len(self._answers) >= _LONGEST:
            self._answers.clear()
        self._answers[question] = (now + TRUST_SECONDS, allowed)
        return allowed


def groups_of(requester: ScheduleRequester) -> list[str]:
    """The groups that they name, and those that the API server gives to whoever has such a name."""
    groups = [*requester.groups, "system:authenticated"]
    if requester.username.startswith(_ACCOUNT):
        namespace = requester.username.removeprefix(_ACCOUNT).partition(":")[0]
        groups += ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    return groups
