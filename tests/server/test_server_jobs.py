"""The life of a job, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.jobs import Content, Failure, ForgottenJobError, Job, Jobs, TooManyJobsError, UnknownJobError


def make_jobs(max_open: int = 3, max_finished: int = 3, max_bytes: int = 100) -> Jobs:
    ticks, ids = count(), count()

    def clock() -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(ticks))

    return Jobs(clock, lambda: f"job-{next(ids)}", max_open=max_open, max_finished=max_finished, max_bytes=max_bytes)


def content(size: int = 10) -> Content:
    return Content(b"x" * size, "image/png")


def kinds(job: Job) -> list[str]:
    return [event.kind for event in job.events]


def test_from_queued_to_completed() -> None:
    jobs = make_jobs()
    job = jobs.add("sample", "toy", 30)
    assert (job.state, job.done, job.events, jobs.get("job-0")) == ("queued", 0, [], job)
    jobs.start(job)
    jobs.progress(job, 10)
    jobs.progress(job, 10)  # nothing new
    jobs.progress(job, 45)  # never more than all
    jobs.complete(job, content())
    assert (job.state, job.done) == ("completed", 30)
    assert [(event.id, event.kind, event.done) for event in job.events] == [
        (1, "progress", 0),
        (2, "progress", 10),
        (3, "progress", 30),
        (4, "completed", 30),
    ]
    assert job.started is not None
    assert job.finished is not None
    assert job.created < job.started < job.finished


ends: dict[str, Callable[[Jobs, Job], None]] = {
    "completed": lambda jobs, job: jobs.complete(job, content()),
    "failed": lambda jobs, job: jobs.fail(job, Failure("internal", "broken")),
    "cancelled": lambda jobs, job: jobs.stop(job),
}


@pytest.mark.parametrize("end", ends)
@pytest.mark.parametrize("other", ["completed", "failed"])
def test_what_is_finished_stays_as_it_is(end: str, other: str) -> None:
    jobs = make_jobs()
    job = jobs.add("sample", "toy", 1)
    jobs.start(job)
    ends[end](jobs, job)
    result, failure, events = job.result, job.failure, list(job.events)
    ends[other](jobs, job)
    jobs.progress(job, 1)
    assert (job.state, job.result, job.failure, job.events) == (end, result, failure, events)
    assert job.cancel.cancelled == (end == "cancelled")


def test_a_waiting_job_can_be_called_off_and_a_finished_one_forgotten() -> None:
    jobs = make_jobs()
    waiting, finished = jobs.add("sample", "toy", 1), jobs.add("sample", "toy", 1)
    jobs.complete(finished, content())
    jobs.stop(waiting)
    jobs.stop(finished)
    assert (waiting.state, finished.state) == ("cancelled", "completed")
    assert [event.kind for event in waiting.events] == ["cancelled"], "whoever follows it is told"
    for job in (waiting, finished):
        with pytest.raises(ForgottenJobError):
            jobs.get(job.id)
    with pytest.raises(UnknownJobError):
        jobs.get("job-9")


def test_only_so_many_wait_or_run() -> None:
    jobs = make_jobs(max_open=2)
    first, _ = jobs.add("sample", "toy", 1), jobs.add("sample", "toy", 1)
    with pytest.raises(TooManyJobsError):
        jobs.add("sample", "toy", 1)
    jobs.start(first)
    jobs.complete(first, content())
    jobs.add("sample", "toy", 1)


def test_whoever_waits_for_a_change_is_told_once_it_comes() -> None:
    jobs = make_jobs()
    job = jobs.add("sample", "toy", 1)
    before = job.changed
    assert not before.is_set()
    jobs.start(job)
    assert before.is_set()
    assert not job.changed.is_set()


sizes = st.lists(st.tuples(st.sampled_from(["completed", "failed"]), st.integers(0, 120)), max_size=20)


@given(sizes, st.integers(1, 4), st.integers(0, 200))
def test_finished_jobs_are_kept_within_bounds_the_newest_always(
    finished: list[tuple[str, int]], max_finished: int, max_bytes: int
) -> None:
    """What is kept is the longest run of newest jobs that fits; all older ones are known to be forgotten."""
    jobs = make_jobs(1, max_finished, max_bytes)
    made: list[Job] = []
    for end, size in finished:
        job = jobs.add("sample", "toy", 1)
        jobs.complete(job, content(size)) if end == "completed" else ends[end](jobs, job)
        made.append(job)
    kept: list[str] = []
    for job in made:
        try:
            kept.append(jobs.get(job.id).id)
        except ForgottenJobError:
            assert not kept, "an older one is kept, and this is not"
    left = made[len(made) - len(kept) :]
    assert [job.id for job in left] == kept
    if len(left) > 1:
        assert len(left) <= max_finished
        assert sum(len(job.result.body) for job in left if job.result) <= max_bytes
    assert not made or kept
