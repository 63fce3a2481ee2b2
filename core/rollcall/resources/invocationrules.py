"""What may change in an invocation, and what belongs together: CEL rules that the API server checks."""

from typing import Final

_FIXED: Final = (
    "templateRef",
    "feature",
    "inputsFrom",
    "effectiveUser",
    "targeting",
    "inputs",
    "credentialsRef",
    "user",
    "descriptionFormat",
    "executionTimeoutSeconds",
    "requestedBy",
    "rerunOf",
    "startAt",
    "startBefore",
    "activeDeadlineSeconds",
    "pickupTimeoutSeconds",
    "backoffLimit",
    "backoffSeconds",
    "retryOn",
    "retryOnExitCodes",
    "output",
    "steps",
)


def _unchanged(field: str) -> str:
    return f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"


IMMUTABLE: Final = {
    "rule": " && ".join(f"({_unchanged(field)})" for field in _FIXED),
    "message": "only suspend, cancellation, ttlSecondsAfterFinished, and of the rollout concurrency and approvedBatches"
    " can change",
}
FIXED_ROLLOUT: Final = {
    "rule": " && ".join(
        f"({_unchanged(field)})"
        for field in ("hostsPerSlice", "timeSpanSeconds", "batches", "pauseFor", "pauseSeconds", "maxFailed")
    ),
    "message": "only concurrency and approvedBatches of a rollout can change",
}
# The rule above is not asked when there was no rollout before, or is none any more; the defaults stand in for it then.
NO_NEW_ROLLOUT: Final = {
    "rule": "has(self.rollout) == has(oldSelf.rollout) || [self, oldSelf].all(s, !has(s.rollout)"
    " || (s.rollout.hostsPerSlice == 'auto' && s.rollout.timeSpanSeconds == 0 && s.rollout.pauseSeconds == 0"
    " && s.rollout.pauseFor == 'Time' && !has(s.rollout.batches) && !has(s.rollout.maxFailed)))",
    "message": "only concurrency and approvedBatches of a rollout can change",
}
SOURCE: Final = {
    "rule": "has(self.rerunOf) ? (has(self.targeting) == (has(self.rerunOf.hosts) && self.rerunOf.hosts == 'Listed')"
    " && (!has(self.targeting) || has(self.targeting.hosts))) : has(self.targeting)",
    "message": "give either targeting, or rerunOf; and with rerunOf.hosts Listed also targeting.hosts",
}
ONE_TEMPLATE: Final = {
    "rule": "has(self.templateRef) != has(self.feature)",
    "message": "name either a templateRef or a feature",
}
WINDOW: Final = {
    "rule": "!has(self.startAt) || !has(self.startBefore) || timestamp(self.startAt) < timestamp(self.startBefore)",
    "message": "startBefore must be after startAt",
}
CANCELLED_FOR_GOOD: Final = {
    "rule": "!has(oldSelf.cancellation) || (has(self.cancellation)"
    " && (!has(oldSelf.cancellation.policy) || oldSelf.cancellation.policy != 'Force'"
    " || (has(self.cancellation.policy) && self.cancellation.policy == 'Force'))"
    " && (!has(self.cancellation.hosts) || (has(oldSelf.cancellation.hosts)"
    " && size(self.cancellation.hosts) >= size(oldSelf.cancellation.hosts))))",
    "message": "a cancellation cannot be taken back: add hosts to it, leave hosts out to cancel all, or set Force",
}
