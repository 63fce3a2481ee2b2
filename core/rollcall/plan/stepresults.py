"""What became of each step of a host, from what its runner has said of them."""

from datetime import UTC, datetime

from rollcall.names import HostState, StepState
from rollcall.plan.observed import HostProgress, StepProgress
from rollcall.resources.jobslice import StepResult


def step_results(
    progress: HostProgress, lost: HostState | None = None, now: datetime | None = None
) -> tuple[StepResult, ...] | None:
    """The steps in their order, None for a host that has none.

    `lost` is how the host ended, at `now`, whose runner cannot say any more how the step ended that was at work.
    """
    if not progress.steps:
        return None
    return tuple(_result(step, lost, now) for step in progress.steps)


def _result(step: StepProgress, lost: HostState | None, now: datetime | None) -> StepResult:
    news = step.news
    if news.state is StepState.RUNNING:
        state = news.state if lost is None else StepState(lost.value)
        return StepResult(name=news.name, state=state, start_time=moment(step.time), completion_time=now)
    if news.state in (StepState.SKIPPED, StepState.NOT_STARTED):
        return StepResult(name=news.name, state=news.state)
    return StepResult(
        name=news.name,
        state=news.state,
        exit_code=news.exit_code,
        start_time=None if news.start_time is None else moment(news.start_time),
        completion_time=moment(step.time),
    )


def moment(seconds: float) -> datetime:
    """Epoch seconds as a time with whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC)
