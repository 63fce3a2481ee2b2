"""The work on one host whose script runs in the pod itself."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from rollcall.names import Reason
from rollcall.outputs import Exit
from rollcall.podscript import SCRIPT_DIRECTORY
from rollcall.work import HostWork, Work
from rollcall_runner.attending import attend
from rollcall_runner.container import Container, ContainerLostError
from rollcall_runner.emitter import Emitter
from rollcall_runner.failures import TimeLimit, failed
from rollcall_runner.host import NOT_STARTED
from rollcall_runner.lines import LineWriter
from rollcall_runner.orders import HostStop, StopRequestedError, unless
from rollcall_runner.steps import run_scripts

_LOST: Final = "The script's container has ended; what ended it is seen from outside of the pod"


async def run_in_pod(
    host: HostWork, environment: Mapping[str, str], emitter: Emitter, stop: HostStop, work: Work, writer: LineWriter,
    directory: Path = Path(SCRIPT_DIRECTORY),
) -> Exit | None:  # fmt: skip
    """Runs the host's script in the container beside this one, emits all its events, and returns what the last one
    says; None, without a last one, when the container was lost."""
    start_time = emitter.now()
    container = Container(directory)
    await container.open()

    async def run(script: str, limit: TimeLimit) -> Exit:
        if stop.asked.is_set():
            raise StopRequestedError
        started = await container.start(script, environment, emitter, writer)
        return await attend(started, emitter, stop, work, limit)

    try:
        await unless(stop.asked, container.ready())
        exit_ = await run_scripts(host, work, emitter, run)
    except StopRequestedError:
        exit_ = NOT_STARTED
    except ContainerLostError:
        emitter.abandon(_LOST)
        return None
    except Exception as error:  # only its kind is told: its text might hold anything
        exit_ = failed(
            Reason.RUNNER_CRASHED,
            f"the runner could not run it: {type(error).__name__}; this is a fault of Rollcall, please report it",
        )
    finally:
        await container.leave()
    exit_ = replace(exit_, start_time=start_time)
    emitter.end(exit_)
    return exit_
