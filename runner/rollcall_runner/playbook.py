"""A work that is a playbook: one run on all its hosts, whose events become the events of each host."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from enum import Enum, auto
from importlib.util import find_spec
from typing import Final

from rollcall.names import Reason
from rollcall.outputs import AcceptedKey, Exit, Stream
from rollcall.playbook import PlaybookWork
from rollcall.work import HostWork, JumpHost, Work
from rollcall_runner.connection import Login, Logins, Patience
from rollcall_runner.emitter import Emitter
from rollcall_runner.failures import explain, failed, output_limit
from rollcall_runner.host import NOT_STARTED
from rollcall_runner.hostkeys import HostKeys, unchecked
from rollcall_runner.jumps import JumpHostError
from rollcall_runner.lines import LineWriter
from rollcall_runner.masking import Mask, secrets_of
from rollcall_runner.orders import Orders
from rollcall_runner.playbook_events import Said, Story
from rollcall_runner.playbook_failures import cancelled, exit_of, timed_out, went_on
from rollcall_runner.playbook_files import Files, Places
from rollcall_runner.playbook_run import PlaybookRun
from rollcall_runner.playbook_ways import unusable, usable_address

NOT_BEGUN: Final = replace(NOT_STARTED, message="cancelled; the playbook was not started on this host")
NO_ADDRESS: Final = "ssh cannot take spec.address of the Host for an address: correct it"
_NOT_FOR_SSH: Final = "ssh cannot be told {what} of the Host on the way, {name}: correct it"
_RESCUE_SECONDS: Final = 1.0
"""How long a failed host may take to begin a task of its `rescue`; one that does goes on, so the run does too."""


class _Cause(Enum):
    """Why a run is not waited for any longer."""

    ENDED = auto()
    TIMEOUT = auto()
    STOP = auto()


_ANNOUNCEMENTS: Final = {
    _Cause.TIMEOUT: "Timeout for execution passed, trying to stop the playbook",
    _Cause.STOP: "Cancelled, trying to stop the playbook",
}


async def run_playbook(
    work: Work, playbook: PlaybookWork, writer: LineWriter, orders: Orders, patience: Patience, places: Places
) -> list[Exit]:
    """Runs the playbook on every host and returns how each ended."""
    attempt = _Attempt(work, playbook, writer, orders, places)
    await attempt.log_in(patience)
    if attempt.logins:
        await attempt.run()
    return list(attempt.exits.values())


class _Attempt:
    """The hosts that take part, and the ends of the others."""

    def __init__(self, work: Work, playbook: PlaybookWork, writer: LineWriter, orders: Orders, places: Places) -> None:
        self._work = work
        self._playbook = playbook
        self._writer = writer
        self._orders = orders
        self._places = places
        mask = _mask(work)
        limit, excess = work.output_limit_bytes, work.on_excess
        self._emitters = {
            host.name: Emitter(host.name, writer.write, limit, on_excess=excess, mask=mask) for host in work.hosts
        }
        self._start_times = {name: emitter.now() for name, emitter in self._emitters.items()}
        self._logins, self._host_keys = Logins(work.credentials), HostKeys(work)
        self._jump_logins: dict[JumpHost, Login] = {}
        self.logins: dict[str, Login] = {}
        self.exits: dict[str, Exit] = {}

    async def log_in(self, patience: Patience) -> None:
        """Reads every host's login; ends the hosts that cannot take part."""
        for host in self._work.hosts:
            login: Login | None = None
            way = self._work.way(host)
            for name in unchecked((*way, host)):
                self._emitters[host.name].debug(f"The host key of {name} is not checked (hostKeyPolicy: Ignore)")
            try:
                for jump in way:
                    await self._log_in_to(jump)
                login = await self._logins.get(host.credentials)
                self._host_keys.expected(host)
                why = NO_ADDRESS if not usable_address(host) else self._unusable(way)
                if why:
                    self._end(host.name, failed(Reason.UNREACHABLE, why))
                    continue
            except Exception as error:  # whatever is wrong with one host, the others must have their results
                self._end(host.name, explain(error, host, login, patience, way))
                continue
            if self._orders.of(host.name).asked.is_set():
                self._end(host.name, NOT_BEGUN, begun=False)
            else:
                self.logins[host.name] = login

    async def _log_in_to(self, jump: JumpHost) -> None:
        """Reads a jump host's login. Raises JumpHostError."""
        login: Login | None = None
        try:
            login = await self._logins.get(jump.credentials)
            self._host_keys.expected(jump)
        except Exception as error:
            raise JumpHostError(jump, error, login) from error
        self._jump_logins[jump] = login

    @staticmethod
    def _unusable(way: Iterable[JumpHost]) -> str | None:
        told = ((jump.name, unusable(jump)) for jump in way)
        return next((_NOT_FOR_SSH.format(what=what, name=name) for name, what in told if what), None)

    async def run(self) -> None:
        """Runs the playbook and ends all hosts that took part."""
        hosts = [host for host in self._work.hosts if host.name in self.logins]
        if find_spec("ansible_runner") is None:
            self._end_all(
                "the runner's image has no Ansible: the administrator has to name one that has (runner.ansible.image)"
            )
            return
        files = Files(self._work, self._playbook, self._places, self._host_keys)
        run = PlaybookRun(files, self._playbook)
        story = Story.of(self.logins, self._playbook.verbosity, self._places.revision(), str(files.project))
        story.know_addresses(_own_addresses(hosts))
        for name in self.logins:
            if left_out := files.left_out(name):
                self._emitters[name].debug(f"Not passed on to Ansible: the variables {', '.join(sorted(left_out))}")
        try:
            files.write(self.logins, self._ways_taken())
            await run.start()
        except OSError as error:
            self._end_all(f"the runner could not start ansible-playbook: {error.strerror}")
            return
        cause = await self._attend(run, story)
        files.ways.note_accepted()
        for host in hosts:
            story.hosts[host.name].on_the_way = files.ways.told(host)
            for accepted in self._accepted(host):
                text = f"No host key was known for {accepted.host}: accepted {accepted.key}"
                self._emitters[host.name].debug(text)
            self._end(host.name, self._exit(host.name, story, cause), accepted=self._accepted(host))

    def _ways_taken(self) -> dict[JumpHost, Login]:
        """The jump hosts on the way to the hosts that take part."""
        hosts = (host for host in self._work.hosts if host.name in self.logins)
        return {jump: self._jump_logins[jump] for host in hosts for jump in self._work.way(host)}

    def _accepted(self, host: HostWork) -> tuple[AcceptedKey, ...]:
        return self._host_keys.accepted((*self._work.way(host), host))

    def _end_all(self, why: str) -> None:
        for name in self.logins:
            self._end(name, failed(Reason.RUNNER_CRASHED, why))

    async def _attend(self, run: PlaybookRun, story: Story) -> _Cause:
        """Waits for the run's end, or brings it about; returns when all that was said is passed on."""
        listening = asyncio.ensure_future(self._listen(run, story))
        stopping = asyncio.ensure_future(self._all_asked(story))
        timeout = self._work.execution_timeout_seconds
        await asyncio.wait({listening, stopping}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        cause = _Cause.ENDED if listening.done() else _Cause.STOP if stopping.done() else _Cause.TIMEOUT
        stopping.cancel()
        if cause is not _Cause.ENDED:
            self._announce(cause)
            await self._stop(run)
        await listening
        await run.finish()
        return cause

    async def _stop(self, run: PlaybookRun) -> None:
        """Stops the run; any host's force is everybody's."""
        forced = asyncio.Event()

        async def heed() -> None:
            while not any(self._orders.of(name).forced.is_set() for name in self.logins):
                await self._orders.news()
            forced.set()

        heeding = asyncio.ensure_future(heed())
        await asyncio.sleep(0)  # an order that is there already spares the grace
        await run.stop(self._work.stop_grace_seconds, forced)
        heeding.cancel()

    async def _listen(self, run: PlaybookRun, story: Story) -> None:
        async for event in run.events():
            for said in story.take(event):
                self._say(said)
            self._orders.renew()
            await self._relief()

    def _say(self, said: Said) -> None:
        emitter = self._emitters[said.host]
        if said.text:
            emitter.output(Stream.STDOUT, said.text.encode(errors="replace"))
        if said.record is not None:
            emitter.record(said.record)
        emitter.flush()

    async def _relief(self) -> None:
        """Waits while the pod's log is not taken as fast as the playbook speaks."""
        if self._writer.congested:
            relieved = asyncio.Event()
            self._writer.on_relief(relieved.set)
            await relieved.wait()

    async def _all_asked(self, story: Story) -> None:
        """Waits until every host on which something may still be done is told to stop."""
        while True:
            if all(self._orders.of(name).asked.is_set() for name in self.logins):
                return
            if self._only_asked_left(story):
                await asyncio.sleep(_RESCUE_SECONDS)
                if self._only_asked_left(story):
                    return
            await self._orders.news()

    def _only_asked_left(self, story: Story) -> bool:
        left = [name for name in self.logins if not story.hosts[name].down]
        return bool(left) and all(self._orders.of(name).asked.is_set() for name in left)

    def _announce(self, cause: _Cause) -> None:
        for name in self.logins:
            self._emitters[name].debug(_ANNOUNCEMENTS[cause])

    def _exit(self, name: str, story: Story, cause: _Cause) -> Exit:
        host, emitter = story.hosts[name], self._emitters[name]
        emitter.finish()
        if emitter.exceeded:
            return output_limit(self._work.output_limit_bytes, None)
        if story.recapped or cause is _Cause.ENDED:
            exit_ = exit_of(story, host)
            told = cause is _Cause.ENDED and self._orders.of(name).asked.is_set()
            return went_on(exit_) if told else exit_
        if cause is _Cause.TIMEOUT:
            return timed_out(self._work.execution_timeout_seconds, host)
        return cancelled(host)

    def _end(self, name: str, exit_: Exit, *, begun: bool = True, accepted: tuple[AcceptedKey, ...] = ()) -> None:
        exit_ = replace(exit_, start_time=self._start_times[name]) if begun else exit_
        exit_ = replace(exit_, accepted_keys=accepted)
        self._emitters[name].end(exit_)
        self.exits[name] = exit_


def _mask(work: Work) -> Mask:
    """One mask for all hosts: a playbook can print on one host what belongs to another."""
    keys = (credentials.private_key or "" for credentials in work.credentials)
    secrets = (secret for credentials in work.credentials for secret in secrets_of(credentials))
    return Mask((*work.masked, *secrets, *keys))


def _own_addresses(hosts: Iterable[HostWork]) -> dict[str, str]:
    """Which address is which host's, where it is only one's."""
    known: dict[str, str] = {}
    shared: set[str] = set()
    for host in hosts:
        if host.address in known:
            shared.add(host.address)
        known[host.address] = host.name
    return {address: name for address, name in known.items() if address not in shared}
