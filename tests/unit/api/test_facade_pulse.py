"""What the facade makes of an API server that says nothing."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from rollcall_api import bounded
from rollcall_api import pulse as module
from rollcall_api.bounded import AgedCache
from rollcall_api.problems import Away, Unavailable
from rollcall_api.pulse import Pulse


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.05)


async def listening(pulse: Pulse, ask: Callable[[float], Awaitable[None]], work: Awaitable[None]) -> None:
    task = asyncio.create_task(pulse.run(ask))
    try:
        async with asyncio.timeout(10):
            await work
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def hang(seconds: float) -> None:
    await asyncio.sleep(seconds)
    raise Away("nothing came")


@pytest.mark.usefixtures("quick")
async def test_who_waits_is_told_that_the_api_server_fell_silent_and_who_waits_for_its_return_when_it_answers() -> None:
    pulse = Pulse()

    async def wait() -> None:
        with pytest.raises(TimeoutError):
            async with pulse.waiting():
                await asyncio.sleep(60)
        assert pulse.is_silent
        assert time.monotonic() - pulse.heard_at >= 0.05
        returned = asyncio.create_task(pulse.answering())
        await asyncio.sleep(0)
        assert not returned.done()
        pulse.heard()
        await returned
        assert not pulse.is_silent

    await listening(pulse, hang, wait())


@pytest.mark.usefixtures("quick")
async def test_a_server_that_answers_when_it_is_asked_is_never_silent() -> None:
    pulse = Pulse()
    asked: list[float] = []
    enough = asyncio.Event()

    async def answer(seconds: float) -> None:
        asked.append(seconds)
        pulse.heard()
        if len(asked) == 20:
            enough.set()

    async def wait() -> None:
        async with pulse.waiting():
            await enough.wait()

    await listening(pulse, answer, wait())
    assert not pulse.is_silent


@pytest.mark.usefixtures("quick")
async def test_a_facade_that_stood_still_itself_does_not_take_the_api_server_for_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "SILENT_SECONDS", 3.0)
    pulse = Pulse()
    told, answered = asyncio.Event(), asyncio.Event()

    async def ask(_: float) -> None:
        if not told.is_set():
            told.set()
            clock.now += 60  # the process is stopped while it waits, for longer than any answer may take
            raise Away("the time is over")
        pulse.heard()
        answered.set()

    async def wait() -> None:
        async with pulse.waiting():
            clock.now += 1
            await told.wait()
            await answered.wait()

    await listening(pulse, ask, wait())
    assert not pulse.is_silent


@pytest.mark.usefixtures("quick")
async def test_an_api_server_that_says_nothing_to_a_slow_facade_is_silent_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "SILENT_SECONDS", 3.0)
    pulse = Pulse()
    asked = 0

    async def ask(_: float) -> None:
        nonlocal asked
        asked += 1
        clock.now += 10  # always late, and there is never an answer
        raise Away("the time is over")

    async def wait() -> None:
        clock.now += 1
        with pytest.raises(TimeoutError):
            async with pulse.waiting():
                await asyncio.sleep(60)

    await listening(pulse, ask, wait())
    assert pulse.is_silent
    assert 3 < asked < 8


class Answers:
    """What is asked, and how often; it answers the number of the question, or fails."""

    def __init__(self) -> None:
        self.asked = 0
        self.fails = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> int:
        self.asked += 1
        await self.gate.wait()
        if self.fails:
            raise Unavailable("gone")
        return self.asked


class Clock:
    """A clock that tests set; that of the event loop goes on."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(bounded, "time", clock)
    return clock


async def test_after_a_failure_nobody_waits_until_the_answer_is_renewed(clock: Clock) -> None:
    answers = Answers()
    cache: AgedCache[str, int] = AgedCache(10, grace=300)
    assert await cache.get("k", answers) == 1
    clock.now += 10
    answers.fails = True
    assert await cache.get("k", answers) == 1
    assert await cache.get("k", answers) == 1
    assert answers.asked == 2, "it has just failed"
    clock.now += 1
    answers.gate.clear()
    for _ in range(20):
        assert await asyncio.wait_for(cache.get("k", answers), 5) == 1
        await asyncio.sleep(0)
    assert answers.asked == 3, "one asks, beside them"
    answers.fails = False
    answers.gate.set()
    await asyncio.sleep(0.01)
    assert await cache.get("k", answers) == 3


async def test_an_answer_that_failed_long_ago_is_waited_for_again(clock: Clock) -> None:
    answers = Answers()
    cache: AgedCache[str, int] = AgedCache(10, grace=300)
    assert await cache.get("k", answers) == 1
    clock.now += 60
    answers.fails = True
    assert await cache.get("k", answers) == 1
    clock.now += 60
    answers.fails = False
    assert await cache.get("k", answers) == 3, "the API server answers, so that what was revoked ends"


async def test_an_old_answer_ends_with_its_grace(clock: Clock) -> None:
    answers = Answers()
    cache: AgedCache[str, int] = AgedCache(10, grace=300)
    assert await cache.get("k", answers) == 1
    answers.fails = True
    clock.now += 309
    assert await cache.get("k", answers) == 1
    clock.now += 1
    with pytest.raises(Unavailable):
        await cache.get("k", answers)
