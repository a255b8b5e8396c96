"""Work is told once, from any thread, that it is no longer wanted."""

from __future__ import annotations

import pytest

from server.cancel import Cancel, Cancelled, Joint


def test_work_goes_on_until_it_is_cancelled() -> None:
    cancel = Cancel()
    cancel.check()
    cancel.cancel()
    assert cancel.cancelled
    with pytest.raises(Cancelled):
        cancel.check()


def test_who_asked_is_told_once() -> None:
    cancel, told = Cancel(), []
    cancel.tell(lambda: told.append("a"))
    cancel.cancel()
    cancel.cancel()
    assert told == ["a"]


def test_who_asks_too_late_is_told_at_once() -> None:
    cancel, told = Cancel(), []
    cancel.cancel()
    cancel.tell(lambda: told.append("late"))
    assert told == ["late"]


def test_who_takes_it_back_is_not_told() -> None:
    cancel, told = Cancel(), []
    cancel.tell(lambda: told.append("a"))()
    cancel.cancel()
    assert told == []


def test_joint_work_goes_on_while_anybody_waits() -> None:
    one, other = Cancel(), Cancel()
    with Joint([one, other]) as joint:
        one.cancel()
        joint.check()
        other.cancel()
        with pytest.raises(Cancelled):
            joint.check()


def test_joint_work_that_is_done_is_not_told_any_more() -> None:
    one, told = Cancel(), []
    with Joint([one]) as joint:
        joint.tell(lambda: told.append("stop"))
    one.cancel()
    assert told == []


def test_who_had_left_before_does_not_count() -> None:
    gone, here = Cancel(), Cancel()
    gone.cancel()
    with Joint([gone, here]) as joint:
        joint.check()
    with Joint([gone]) as joint, pytest.raises(Cancelled):
        joint.check()
