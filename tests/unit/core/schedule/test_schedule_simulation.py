"""Whatever people, clocks and operators do to a schedule, it keeps its promises: see `simulated_schedule`."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from rollcall.plan.schedule import delay
from unit.core.schedule.simulated_schedule import DENIED, START, Fate, SimulatedSchedule

Spec = dict[str, Any]
RULES = [
    "RRULE:FREQ=HOURLY;INTERVAL=3",
    "RRULE:FREQ=DAILY;INTERVAL=1;BYHOUR=2,14,15;BYMINUTE=30 RRULE:FREQ=HOURLY;INTERVAL=2;COUNT=20",
    "RRULE:FREQ=MINUTELY;INTERVAL=40 EXRULE:FREQ=HOURLY;INTERVAL=4",
    "RRULE:FREQ=HOURLY;INTERVAL=1;UNTIL=20261025T040000Z",
]
LINES = ["0 * * * *", "*/20 * * * *", "30 2 * * *", "15 0-23/3 * * *", "0 15,18,2 * * sat,sun", "45 16 24 10 *"]


def moment(minutes: int) -> str:
    return (START + timedelta(minutes=minutes)).isoformat()


moments = st.integers(-300, 3000).map(moment)
cron = st.lists(st.sampled_from(LINES), min_size=1, max_size=3, unique=True)
every = st.builds(
    lambda seconds, anchor: {"seconds": seconds} | ({} if anchor is None else {"anchor": anchor}),
    st.sampled_from([60, 600, 3600, 5000, 90_000]), st.none() | moments,
)  # fmt: skip
rules = st.builds(
    lambda zone, rule: f"DTSTART;TZID={zone}:20261024T110000 {rule}",
    st.sampled_from(["Europe/Berlin", "Asia/Kolkata"]), st.sampled_from(RULES),
)  # fmt: skip
NO_TIMES: Spec = dict.fromkeys(("cron", "timeZone", "every", "at", "rrule"))
zones = st.sampled_from([None, "Europe/Berlin", "Australia/Lord_Howe"])
times: st.SearchStrategy[Spec] = st.one_of(
    st.builds(lambda lines, zone: NO_TIMES | {"cron": lines, "timeZone": zone}, cron, zones),
    every.map(lambda grid: NO_TIMES | {"every": grid}),
    moments.map(lambda at: NO_TIMES | {"at": at}),
    rules.map(lambda text: NO_TIMES | {"rrule": text}),
    st.just(NO_TIMES | {"cron": ["0 25 * * *"]}),
)
bounds: dict[str, st.SearchStrategy[Any]] = {
    "startAt": st.none() | st.integers(-300, 1200).map(moment),
    "endAt": st.none() | st.integers(1200, 3000).map(moment),
    "maxIterations": st.none() | st.integers(1, 6),
    "jitterSeconds": st.sampled_from([0, 0, 600, 3600, 86_400]),
}
terms: dict[str, st.SearchStrategy[Any]] = {
    "startingDeadlineSeconds": st.sampled_from([None, 30, 1800]),
    "missedRunPolicy": st.sampled_from(["Last", "All", "Skip"]),
    "maxMissedRuns": st.integers(1, 4),
    "concurrencyPolicy": st.sampled_from(["Allow", "Allow", "Forbid", "Replace"]),
    "skipTimes": st.lists(st.integers(0, 24).map(lambda hours: moment(60 * hours)), max_size=3),
    "successfulJobsHistoryLimit": st.integers(0, 2),
    "failedJobsHistoryLimit": st.integers(0, 1),
    "invocationTemplate": st.sampled_from(["t", "other"]).map(lambda name: {"spec": {"templateRef": {"name": name}}}),
}
all_bounds = st.fixed_dictionaries({}, optional=bounds)
all_terms = st.fixed_dictionaries({}, optional=terms)
one_bound = st.sampled_from(sorted(bounds)).flatmap(lambda name: st.fixed_dictionaries({name: bounds[name]}))
one_term = st.sampled_from(sorted(terms)).flatmap(lambda name: st.fixed_dictionaries({name: terms[name]}))
seconds = st.sampled_from([0, 0.5, 1, 30, 61, 600, 1200, 3600, 3700, 9000, 40_000])


class Schedules(RuleBasedStateMachine):
    """A schedule, and everything that can happen to it."""

    @initialize(times=times, bounds=all_bounds, terms=all_terms)
    def begin(self, times: Spec, bounds: Spec, terms: Spec) -> None:
        self.world = SimulatedSchedule(times | bounds | terms)

    @rule(seconds=seconds, fate=st.sampled_from(Fate), denied=st.sampled_from([False, False, False, True]))
    def time_passes_and_it_is_looked_at(self, seconds: float, fate: Fate, denied: bool) -> None:
        self.world.now += timedelta(seconds=seconds)
        self.world.look(fate, DENIED if denied else None)

    @rule(seconds=seconds)
    def nobody_is_there(self, seconds: float) -> None:
        self.world.now += timedelta(seconds=seconds)

    @rule(seconds=seconds, back=st.booleans())
    def the_clock_is_set(self, seconds: float, back: bool) -> None:
        self.world.now += timedelta(seconds=-seconds if back else seconds)

    @precondition(lambda self: self.world.status.next_times and self.world.status.next_times[0] >= self.world.now)
    @precondition(lambda self: self.world.told == self.world.spec and self.world.rival is None)
    @rule()
    def the_next_time_comes_as_was_told(self) -> None:
        world = self.world
        world.now, made, before = world.status.next_times[0], len(world.slots), world.status
        untold = made > before.iteration  # made by an operator that died, perhaps before the clock was set back
        policy = world.spec.get("concurrencyPolicy", "Allow")
        in_the_way = (world.active and policy == "Forbid") or (world.request and policy != "Allow")
        world.look(Fate.WELL)
        if not in_the_way and not untold:
            assert len(world.slots) > made
            assert world.status.made_until == world.now - delay(world.schedule())
            assert world.status.missed == before.missed

    @rule(change=times | one_bound | one_term)
    def it_is_edited(self, change: Spec) -> None:
        self.world.spec |= change

    @rule(times=times)
    def other_times_are_seen_and_come(self, times: Spec) -> None:
        self.world.spec |= times
        self.world.look(Fate.WELL)
        if self.world.status.next_times:
            self.world.now = self.world.status.next_times[0]
            self.world.look(Fate.WELL)

    @rule(suspend=st.booleans())
    def it_is_suspended_or_resumed(self, suspend: bool) -> None:
        self.world.spec["suspend"] = suspend

    @rule(rival=st.sampled_from([None, "older"]))
    def its_purpose_is_taken_or_free(self, rival: str | None) -> None:
        self.world.rival = rival

    @rule()
    def somebody_asks_for_a_run(self) -> None:
        self.world.ask()

    def _one(self, data: st.DataObject, do: Callable[[str], None], of: list[str]) -> None:
        if of:
            do(data.draw(st.sampled_from(sorted(of))))

    @rule(data=st.data(), how=st.sampled_from(["Complete", "Failed"]))
    def a_run_ends(self, data: st.DataObject, how: str) -> None:
        self._one(data, lambda name: self.world.end(name, how), self.world.active)

    @precondition(lambda self: self.world.status.next_times and self.world.told == self.world.spec)
    @rule()
    def the_next_run_is_made_ahead(self) -> None:
        self.world.make_ahead()

    @rule(data=st.data())
    def the_next_run_is_skipped(self, data: st.DataObject) -> None:
        self._one(data, self.world.skip, self.world.waiting)

    @rule(data=st.data())
    def a_run_is_deleted(self, data: st.DataObject) -> None:
        self._one(data, self.world.delete, list(self.world.children))


SCALE = int(os.environ.get("SIMULATION_SCALE", "1"))
"""How many times as many examples as usual; from 2 on, they are other ones each time."""
STEPS = int(os.environ.get("SIMULATION_STEPS", "40"))
"""How much may happen in an example."""
TestSchedules = Schedules.TestCase
TestSchedules.settings = settings(max_examples=100 * SCALE, stateful_step_count=STEPS, derandomize=SCALE == 1)
