"""Locks: nobody has what another has alone, who came first is served first, and nobody waits for nothing."""

import os
from collections.abc import Iterable, Mapping
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rollcall.plan.locks import NOTHING, Claimant, Lock, LockKind, Locks
from unit.core.objects import NOW

HOSTS = [Lock(LockKind.HOST, "fleet", f"web{number}") for number in range(3)]
PEOPLE = [Claimant(NOW + timedelta(seconds=number // 2), "fleet", f"job{number}", "uid") for number in range(4)]
NEEDS = st.dictionaries(st.sampled_from(HOSTS), st.booleans(), min_size=1)
"""What a slice needs: each host, alone or not."""
WHO = st.sampled_from(PEOPLE)


class Rivals(RuleBasedStateMachine):
    """Invocations that want locks for one slice after the other, and look again when they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.locks = Locks()
        self.held: dict[Claimant, dict[str, Mapping[Lock, bool]]] = {who: {} for who in PEOPLE}
        self.wanted: dict[Claimant, Mapping[Lock, bool]] = {}
        self._number = 0

    def look(self, who: Claimant) -> None:
        """What a reconcile does: start what can be started, else wait for it."""
        wanted = self.wanted.get(who, NOTHING)
        if wanted and self.locks.obstacle(who, wanted) is None:
            self._number += 1
            self.held[who][f"slice-{self._number}"] = self.wanted.pop(who)
        self.tell(who)

    def tell(self, who: Claimant) -> None:
        names = self.held[who]
        for other in self.locks.update(who, names.keys(), names.__getitem__, self.wanted.get(who, NOTHING)):
            assert other != who
            self.look(other)

    @rule(who=WHO, needs=NEEDS)
    def somebody_wants(self, who: Claimant, needs: dict[Lock, bool]) -> None:
        mine = {lock for held in self.held[who].values() for lock in held}
        if mine.isdisjoint(needs):  # no invocation has a host in two slices
            self.wanted[who] = needs
            self.look(who)

    @rule(who=WHO)
    def somebody_does_not_want_any_more(self, who: Claimant) -> None:
        self.wanted.pop(who, None)
        self.look(who)

    @rule(who=WHO)
    def a_slice_ends(self, who: Claimant) -> None:
        if self.held[who]:
            del self.held[who][min(self.held[who])]
            self.look(who)

    @rule(who=WHO)
    def somebody_has_ended(self, who: Claimant) -> None:
        self.held[who].clear()
        self.wanted.pop(who, None)
        for other in self.locks.drop(who):
            self.look(other)

    @invariant()
    def what_one_has_alone_no_other_has(self) -> None:
        for lock in HOSTS:
            holders = [(who, held[lock]) for who in PEOPLE for held in self.held[who].values() if lock in held]
            assert len(holders) <= 1 or not any(alone for _, alone in holders), f"{lock} is had by {holders}"

    @invariant()
    def nobody_waits_who_could_go_on(self) -> None:
        for who, wanted in self.wanted.items():
            obstacle = self.locks.obstacle(who, wanted)
            assert obstacle is not None, f"{who} was not told that it can go on"

    @invariant()
    def who_waits_does_so_for_a_holder_or_for_somebody_who_came_before(self) -> None:
        for who, wanted in self.wanted.items():
            obstacle = self.locks.obstacle(who, wanted)
            assert obstacle is not None
            lock, other = obstacle
            holds = any(lock in held for held in self.held[other].values())
            assert holds or (other < who and lock in self.wanted[other])

    @invariant()
    def the_first_who_waits_waits_for_a_holder(self) -> None:
        """So when those who have something let go, somebody goes on: nobody waits in a circle."""
        if self.wanted:
            first = min(self.wanted)
            obstacle = self.locks.obstacle(first, self.wanted[first])
            assert obstacle is not None
            assert self.held[obstacle[1]]

    def teardown(self) -> None:
        for _ in range(len(PEOPLE) * 2):
            for who in PEOPLE:
                self.held[who].clear()
                self.look(who)
        assert not self.wanted, "somebody waits for ever"
        for who in PEOPLE:
            self.held[who].clear()
            self.tell(who)
        assert vars(self.locks) == vars(Locks()), "something is left over"


SCALE = int(os.environ.get("SIMULATION_SCALE", "1"))
"""How many times as many examples as usual; from 2 on, they are other ones each time."""
STEPS = int(os.environ.get("SIMULATION_STEPS", "20"))
"""How much may happen in an example."""
TestRivals = Rivals.TestCase
TestRivals.settings = settings(max_examples=25 * SCALE, stateful_step_count=STEPS, derandomize=SCALE == 1)

OLD, YOUNG = PEOPLE[0], PEOPLE[2]
WEB0, WEB1, _ = HOSTS


def having(*taken: tuple[Claimant, Mapping[Lock, bool], Mapping[Lock, bool]]) -> Locks:
    """Locks of which each of these has the first and waits for the second."""
    locks = Locks()
    for who, held, waited in taken:
        update(locks, who, held, waited)
    return locks


def update(
    locks: Locks, who: Claimant, held: Mapping[Lock, bool], waited: Mapping[Lock, bool] = NOTHING
) -> Iterable[Claimant]:
    return locks.update(who, {"slice"} if held else set(), lambda _: held, waited)


@pytest.mark.parametrize(
    ("theirs", "mine", "free"),
    [(False, False, True), (False, True, False), (True, False, False), (True, True, False)],
)
def test_who_wants_a_host_alone_is_alone(theirs: bool, mine: bool, free: bool) -> None:
    locks = having((OLD, {WEB0: theirs}, NOTHING))
    assert (locks.obstacle(YOUNG, {WEB0: mine}) is None) is free
    assert locks.obstacle(OLD, {WEB0: mine}) is None, "nobody stands in the own way"
    assert locks.obstacle(YOUNG, {WEB1: mine}) is None


def test_who_came_later_does_not_slip_in_where_there_would_be_room() -> None:
    third = PEOPLE[3]
    locks = having((third, {WEB0: False}, NOTHING), (OLD, NOTHING, {WEB0: True, WEB1: True}))
    assert locks.obstacle(YOUNG, {WEB0: False}) == (WEB0, OLD)
    assert locks.obstacle(YOUNG, {WEB1: False}) == (WEB1, OLD)
    assert locks.obstacle(OLD, {WEB0: True}) == (WEB0, third)


def test_who_came_earlier_does_not_wait_for_who_waits() -> None:
    locks = having((YOUNG, NOTHING, {WEB0: True}))
    assert locks.obstacle(OLD, {WEB0: True}) is None


def test_who_has_a_lock_does_not_wait_for_who_waits_for_it() -> None:
    locks = having((YOUNG, {WEB0: True}, NOTHING), (OLD, NOTHING, {WEB0: True}))
    assert locks.obstacle(YOUNG, {WEB0: True}) is None
    assert locks.obstacle(OLD, {WEB0: True}) == (WEB0, YOUNG)


def test_of_two_that_came_in_the_same_second_the_name_decides() -> None:
    first, second = PEOPLE[0], PEOPLE[1]
    assert first.arrived == second.arrived
    locks = having((first, NOTHING, {WEB0: True}), (second, NOTHING, {WEB0: True}))
    assert locks.obstacle(first, {WEB0: True}) is None
    assert locks.obstacle(second, {WEB0: True}) == (WEB0, first)


def test_who_waits_is_told_when_a_lock_is_let_go_or_no_longer_wanted_alone() -> None:
    locks = having((OLD, NOTHING, {WEB0: True}), (YOUNG, NOTHING, {WEB0: False}))
    assert locks.obstacle(YOUNG, {WEB0: False}) == (WEB0, OLD)
    assert set(update(locks, OLD, NOTHING, {WEB0: False})) == {YOUNG}
    locks = having((OLD, {WEB0: True}, NOTHING), (YOUNG, NOTHING, {WEB0: True}))
    assert set(locks.drop(OLD)) == {YOUNG}
    assert set(locks.drop(OLD)) == set()


def test_what_a_slice_has_does_not_change_while_it_works() -> None:
    """The Host is edited meanwhile."""
    locks = having((OLD, {WEB0: True}, NOTHING))
    update(locks, OLD, {WEB0: False})
    assert locks.obstacle(YOUNG, {WEB0: False}) == (WEB0, OLD)


def test_locks_of_a_retry_are_taken_when_those_of_the_attempt_before_are_let_go() -> None:
    locks = Locks()
    locks.update(OLD, {"job-0"}, lambda _: {WEB0: True}, NOTHING)
    locks.update(OLD, {"job-0-r1"}, lambda _: {WEB0: True}, NOTHING)
    assert locks.obstacle(YOUNG, {WEB0: True}) == (WEB0, OLD)
