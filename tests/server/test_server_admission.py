"""The rules of the queue: who gets a place, who is next, and that nobody starves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from server.admission import BULK_LATER, FIRST_GUESS, LONG_SECONDS, Admission, Full, Ticket, overdue

KIND = ("toy", "sample")


def ticket(cost: float = 1, **fields: object) -> Ticket:
    return Ticket(KIND, cost, **fields)  # type: ignore[arg-type]


def measured(seconds_an_image: float, workers: int = 1, max_waiting: int = 100, max_seconds: float = 1e9) -> Admission:
    """A queue that knows how long an image takes."""
    admission = Admission(workers, max_waiting, max_seconds)
    first = ticket()
    admission.offer(first, 0)
    assert admission.start(0) is first
    admission.finish(first, seconds_an_image)
    return admission


def order(admission: Admission, now: float = 0) -> list[Ticket]:
    """Work through all that waits, one after another, in no time."""
    done = []
    while (next := admission.start(now)) is not None:
        admission.finish(next, now, measured=False)
        done.append(next)
    return done


def test_what_may_not_wait_is_told_when_there_will_be_a_place() -> None:
    admission = measured(2.0, max_waiting=3)
    for _ in range(3):
        admission.offer(ticket(), 0)
    with pytest.raises(Full) as full:
        admission.offer(ticket(), 0)
    assert full.value.retry_after == 6


def test_a_queue_is_full_by_time_too_and_large_and_small_have_the_same_chance_of_a_place() -> None:
    admission = measured(1.0, workers=2, max_seconds=2)
    for cost in (1, 2, 64):  # 64 is more than the queue holds, but there was room
        admission.offer(ticket(cost), 0)
    for cost in (1, 64):
        with pytest.raises(Full):
            admission.offer(ticket(cost), 0)


@given(st.floats(1e-6, 1e4), st.integers(1, 8), st.floats(0.001, 1e4))
def test_whoever_is_refused_waits_a_second_at_least(seconds: float, workers: int, cost: float) -> None:
    admission = measured(seconds, workers, max_waiting=1)
    admission.offer(ticket(cost), 0)
    with pytest.raises(Full) as full:
        admission.offer(ticket(), 0)
    assert full.value.retry_after >= max(1, seconds * cost / workers)


def test_small_work_overtakes_large_work_that_came_a_little_earlier_only() -> None:
    admission = measured(1.0)
    large, soon, later = ticket(10), ticket(1), ticket(1)
    admission.offer(large, 0)
    admission.offer(soon, 5)
    admission.offer(later, 9.5)
    assert order(admission, 10) == [soon, large, later]


def test_bulk_stands_behind_what_somebody_waits_for_but_not_for_ever() -> None:
    admission = measured(0.01)
    bulk, early, late = ticket(lane="bulk"), ticket(), ticket()
    admission.offer(bulk, 0)
    admission.offer(early, BULK_LATER - 1)
    admission.offer(late, BULK_LATER + 1)
    assert order(admission, BULK_LATER + 2) == [early, bulk, late]


def test_long_work_leaves_workers_to_short_work() -> None:
    admission = measured(1.0, workers=4)
    long = [ticket(2 * LONG_SECONDS) for _ in range(4)]
    for each in long:
        admission.offer(each, 0)
    assert [admission.start(0), admission.start(0), admission.start(0)] == [*long[:2], None]
    short = ticket(LONG_SECONDS / 2)
    admission.offer(short, 0)
    assert admission.start(0) is short


def test_who_is_next_takes_along_whoever_fits() -> None:
    admission = measured(0.001, workers=2)
    first, large, small, other, alone = (
        *(ticket(cost, room=8) for cost in (2, 7, 5)), Ticket(("other", "sample"), 1, room=8), ticket(1)
    )  # fmt: skip
    for now, each in enumerate((first, large, small, other, alone)):
        admission.offer(each, now / 10)
    assert admission.start(1) is first
    assert first.along == [small]
    assert (admission.running, admission.waiting) == (1, 3)
    assert [first.state, small.state, large.state] == ["running", "running", "waiting"]
    admission.finish(first, 2)
    assert [first.state, small.state] == ["done", "done"]
    assert order(admission, 2) == [large, other, alone]


def test_one_that_was_taken_along_is_still_superseded() -> None:
    admission = measured(1.0)
    first, older = ticket(room=8, owner=1), ticket(room=8, key="a", owner=2)
    admission.offer(first, 0)
    admission.offer(older, 0)
    assert admission.start(0) is first
    assert admission.offer(ticket(room=8, key="a", owner=3), 1) is older


def test_nothing_starts_after_its_deadline() -> None:
    admission = measured(1.0)
    late, other = ticket(deadline=5.0), ticket()
    admission.offer(late, 0)
    admission.offer(other, 1)
    assert overdue(late, 5.0)
    assert order(admission, 5.0) == [other]
    admission.withdraw(late)
    assert admission.waiting == 0


def test_the_newest_of_a_key_takes_the_place_of_the_one_that_waits() -> None:
    admission = measured(1.0, max_waiting=1)
    older, newer, other = ticket(key="a", owner=1), ticket(key="a", owner=2), ticket(key="b", owner=3)
    assert admission.offer(older, 0) is None
    assert admission.offer(newer, 1) is older
    with pytest.raises(Full):
        admission.offer(other, 2)
    assert (older.state, order(admission, 2)) == ("done", [newer])


def test_a_newer_one_that_finds_no_place_leaves_the_older_in_peace() -> None:
    admission = measured(1.0, max_seconds=2)
    older = ticket(key="a", owner=1)
    for each in (ticket(3), older, ticket(3)):
        if not admission.full:
            admission.offer(each, 0)
    admission = measured(1.0, max_seconds=2)
    admission.offer(older, 0)
    admission.offer(ticket(3), 0)
    with pytest.raises(Full):
        admission.offer(ticket(50, key="a", owner=2), 0)
    assert (older.state, admission.waiting) == ("waiting", 2)


def test_one_that_runs_is_handed_over_to_be_stopped_and_holds_its_worker_until_it_has() -> None:
    admission = measured(1.0)
    older, newer = ticket(key="a", owner=1), ticket(key="a", owner=2)
    admission.offer(older, 0)
    assert admission.start(0) is older
    assert admission.offer(newer, 1) is older
    assert admission.start(1) is None
    admission.finish(older, 1.1, measured=False)
    assert admission.start(1.1) is newer


def test_the_calls_of_one_request_do_not_supersede_each_other() -> None:
    admission = measured(1.0)
    admission.offer(ticket(key="a", owner=1), 0)
    assert admission.offer(ticket(key="a", owner=1), 0) is None


def test_the_pace_follows_what_is_measured_for_each_kind() -> None:
    admission = Admission(1, 100, 1e9)
    new = Ticket(("a", "sample"), 4)
    admission.offer(new, 0)
    assert new.seconds == pytest.approx(4 * FIRST_GUESS)
    admission.start(0)
    admission.finish(new, 2.0)
    unknown, known = Ticket(("b", "sample"), 1), Ticket(("a", "sample"), 1)
    admission.offer(unknown, 3)
    admission.offer(known, 3)
    assert unknown.seconds == known.seconds == pytest.approx(0.5)


class AnyQueue(RuleBasedStateMachine):
    """Whatever happens: limits hold, nothing is lost or done twice, and what waits is done in the end."""

    workers, max_waiting, max_seconds = 3, 5, 4.0

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.admission = Admission(self.workers, self.max_waiting, self.max_seconds)
        self.waiting: list[Ticket] = []
        self.running: list[Ticket] = []

    @rule(
        cost=st.floats(0.1, 64),
        lane=st.sampled_from(["interactive", "bulk"]),
        key=st.sampled_from([None, "a", "b"]),
        patience=st.none() | st.floats(0, 3),
    )
    def offer(self, cost: float, lane: str, key: str | None, patience: float | None) -> None:
        new = ticket(
            cost, lane=lane, key=key, owner=object(), deadline=None if patience is None else self.now + patience
        )
        before = self.admission.full
        try:
            older = self.admission.offer(new, self.now)
        except Full:
            assert before
            return
        if older in self.waiting:
            self.waiting.remove(older)
        self.waiting.append(new)

    @rule()
    def start(self) -> None:
        started = self.admission.start(self.now)
        if started:
            assert not overdue(started, self.now)
            self.waiting.remove(started)
            self.running.append(started)

    @precondition(lambda self: self.running)
    @rule(measured=st.booleans())
    def finish(self, measured: bool) -> None:
        self.admission.finish(self.running.pop(0), self.now, measured)

    @precondition(lambda self: self.waiting)
    @rule()
    def leave(self) -> None:
        self.admission.withdraw(self.waiting.pop())

    @rule(seconds=st.floats(0, 2))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def limits_hold(self) -> None:
        assert (self.admission.waiting, self.admission.running) == (len(self.waiting), len(self.running))
        assert len(self.waiting) <= self.max_waiting
        assert len(self.running) <= self.workers
        assert sum(each.long for each in self.running) <= max(1, self.workers // 2)

    def teardown(self) -> None:
        while self.running or (left := [each for each in self.waiting if not overdue(each, self.now)]):
            if self.running:
                self.finish(False)
            else:
                started = self.admission.start(self.now)
                assert started in left
                self.waiting.remove(started)
                self.running.append(started)


TestAnyQueue = AnyQueue.TestCase
