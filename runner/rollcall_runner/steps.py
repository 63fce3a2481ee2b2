"""The scripts of a host, one after the other: one, or those of its steps, each with its own beginning and end."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Final

from rollcall.names import HostState, Reason, StepState
from rollcall.outputs import Exit, StepNews
from rollcall.work import HostWork, OnFailure, StepWork, Work
from rollcall_runner.emitter import MAX_MESSAGE_LENGTH, Emitter
from rollcall_runner.failures import TimeLimit
from rollcall_runner.orders import StopRequestedError

RunScript = Callable[[str, TimeLimit], Awaitable[Exit]]
"""Runs one script and says how it ended. Raises StopRequestedError when a stop comes before it is started."""

_OF_THE_SCRIPT: Final = frozenset({Reason.EXIT_CODE, Reason.SIGNAL, Reason.TIMEOUT})
"""The failures that say nothing against the next step: host and connection are well."""
_OF_THE_HOST: Final = "executionTimeoutSeconds"
_OF_THE_STEP: Final = "timeoutSeconds"


async def run_scripts(host: HostWork, work: Work, emitter: Emitter, run: RunScript) -> Exit:
    """How the host ended: by its one script, or by its steps. Raises what `run` does."""
    whole = work.execution_timeout_seconds
    if not work.steps:
        return await run(work.scripts[host.script], TimeLimit(whole, whole, _OF_THE_HOST))
    return await _Steps(host, work, emitter, run).run_all()


class _Steps:
    """The steps of one host. A step that fails ends the host, or is remembered for its end."""

    def __init__(self, host: HostWork, work: Work, emitter: Emitter, run: RunScript) -> None:
        self._work = work
        self._scripts = (work.scripts[number] for number in host.steps)
        self._emitter = emitter
        self._run = run
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()

    async def run_all(self) -> Exit:
        """How the host ended: as its first step that did not succeed, with the step's name."""
        failure: Exit | None = None
        waiting = iter(self._work.steps)
        for step in waiting:
            if step.skipped:
                self._emitter.step(StepNews(step.name, StepState.SKIPPED))
                continue
            try:
                exit_ = await self._run_step(step, next(self._scripts))
            except StopRequestedError:
                self._leave(waiting)
                return Exit(HostState.CANCELLED, None, Reason.CANCELLED, f"cancelled; step {step.name} was not started")
            except Exception:
                self._leave(waiting)
                raise
            if exit_.state is HostState.SUCCEEDED:
                continue
            failure = failure or _named(step, exit_)
            if step.on_failure is OnFailure.STOP or not self._may_go_on(exit_):
                self._leave(waiting)
                # What stops a host counts for more than what failed before and let it go on.
                return failure if exit_.state is HostState.FAILED else _named(step, exit_)
        return failure or Exit(HostState.SUCCEEDED, 0)

    async def _run_step(self, step: StepWork, script: str) -> Exit:
        began = self._emitter.now()
        self._emitter.step(StepNews(step.name, StepState.RUNNING))
        state, ended = StepState.FAILED, Exit(HostState.FAILED)
        try:
            ended = await self._run(script, self._limit(step))
            state = StepState(ended.state.value)
        except StopRequestedError:
            state = StepState.NOT_STARTED
            raise
        finally:
            self._emitter.step(StepNews(step.name, state, ended.exit_code, ended.reason, began))
        return ended

    def _limit(self, step: StepWork) -> TimeLimit:
        """The step's own time, or what is left of the host's if that is less."""
        whole = self._work.execution_timeout_seconds
        left = max(0.0, self._began + whole - self._clock())
        if step.timeout_seconds is None or step.timeout_seconds > left:
            return TimeLimit(left, whole, _OF_THE_HOST)
        return TimeLimit(step.timeout_seconds, step.timeout_seconds, _OF_THE_STEP)

    def _may_go_on(self, exit_: Exit) -> bool:
        """Whether the next step can be run after one that has failed: there is time left, and the host answers."""
        left = self._began + self._work.execution_timeout_seconds - self._clock()
        return exit_.state is HostState.FAILED and exit_.reason in _OF_THE_SCRIPT and left > 0

    def _leave(self, waiting: Iterable[StepWork]) -> None:
        for step in waiting:
            state = StepState.SKIPPED if step.skipped else StepState.NOT_STARTED
            self._emitter.step(StepNews(step.name, state))


def _named(step: StepWork, exit_: Exit) -> Exit:
    """The end of a step as the end of its host."""
    return replace(exit_, message=f"step {step.name}: {exit_.message}"[:MAX_MESSAGE_LENGTH])
