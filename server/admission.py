"""Which work may wait, and which of what waits is next: the rules of the queue, without a clock or threads of its own.

- Everything is counted in seconds: cost in decoded images times what one took lately, for each kind of work.
- A queue that has room takes whatever comes, small or large, so both have the same chance of a place.
- Who waits is ranked by arrival plus own length (and a handicap for bulk): small work overtakes large work that came
  a little earlier, but nothing is overtaken for longer than that, so nobody starves.
- Small work of one kind that waits at the same time is done in one go: who is next takes along whoever fits.
- Long work may hold only a part of the workers, so that somebody who drags a slider finds one free.
- Nothing starts after its deadline. Of one key, the newest wins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from server.call import Lane

FIRST_GUESS = 0.05  # seconds an image, of a kind of work that was never measured, nor any other
LATEST_PART = 0.2  # of a new measurement in the average
LONG_SECONDS = 0.5  # what a person notices
BULK_LATER = 30.0  # seconds that bulk work stands behind what somebody waits for

Kind = tuple[str, str]  # the id of a model, and what is done with it
State = Literal["waiting", "running", "done"]


class Full(Exception):  # noqa: N818 - nothing is wrong
    """There is no place in the queue; there will be one after about `retry_after` seconds (at least 1)."""

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(f"try again in {retry_after} s")


@dataclass(eq=False)
class Ticket:
    """A place in the queue. `owner` is the same for all calls of one request, which never supersedes itself.

    `room` is how many images of its kind can be made in one go, its own included; 0 where it is worked on alone.
    """

    kind: Kind
    cost: float
    lane: Lane = "interactive"
    deadline: float | None = None
    key: str | None = None
    owner: object = None
    room: float = 0
    along: list[Ticket] = field(default_factory=list, init=False)  # done in one go with it, once it runs
    state: State = field(default="waiting", init=False)
    arrived: float = field(default=0.0, init=False)
    started: float = field(default=0.0, init=False)
    seconds: float = field(default=0.0, init=False)

    @property
    def long(self) -> bool:
        return self.lane == "bulk" or self.seconds > LONG_SECONDS

    @property
    def rank(self) -> float:
        """Whoever has the lowest is next."""
        return self.arrived + self.seconds + (BULK_LATER if self.lane == "bulk" else 0.0)


class Admission:
    """The queue in front of `workers`, of at most `max_waiting` tickets or `max_seconds` until all of it is done.

    As many tickets as there are workers, and `few` at least, may wait however long each of them takes.
    Every method takes the time, in seconds of one clock that never goes back.
    """

    def __init__(self, workers: int, max_waiting: int, max_seconds: float, few: int = 0) -> None:
        self._workers, self._max_waiting, self._max_seconds = workers, max_waiting, max_seconds
        self._few = max(workers, few)
        self._max_long = max(1, workers // 2)
        self._lately: dict[Kind, tuple[float, float]] = {}  # seconds and images of a piece of work, by kind
        self._waiting: list[Ticket] = []
        self._running: set[Ticket] = set()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def queued_seconds(self) -> float:
        """How long the workers have to do with what waits."""
        return sum(ticket.seconds for ticket in self._waiting) / self._workers

    @property
    def full(self) -> bool:
        long = self.waiting >= self._few and self.queued_seconds >= self._max_seconds
        return long or self.waiting >= self._max_waiting

    def retry_after(self, now: float) -> int:
        """Whole seconds until what waits and runs now is done."""
        left = sum(max(0.0, ticket.started + ticket.seconds - now) for ticket in self._running)
        return max(1, math.ceil(self.queued_seconds + left / self._workers))

    def offer(self, ticket: Ticket, now: float) -> Ticket | None:
        """Put a ticket in the queue. Returns the older one of its key, which whoever calls should now stop.

        One that waited has given its place to the new one already. Raises Full, and then the older one stays.
        """
        ticket.arrived, ticket.seconds = now, ticket.cost * self._seconds_an_image(ticket.kind)
        older = self._of_key(ticket)
        replaces = older is not None and older.state == "waiting"
        if older and replaces:
            self._waiting.remove(older)
        if self.full and not (older and replaces and ticket.seconds <= older.seconds):
            if older and replaces:
                self._waiting.append(older)
            raise Full(self.retry_after(now))
        if older and replaces:
            older.state = "done"
        self._waiting.append(ticket)
        return older

    def start(self, now: float) -> Ticket | None:
        """The ticket to start now with those `along`, or None where no worker is free for any."""
        if self.running >= self._workers:
            return None
        room_for_long = sum(ticket.long for ticket in self._running) < self._max_long
        ready = [ticket for ticket in self._waiting if not overdue(ticket, now) and (room_for_long or not ticket.long)]
        if not ready:
            return None
        ticket, *others = sorted(ready, key=lambda ticket: ticket.rank)
        room = ticket.room - ticket.cost
        for other in others:
            if other.kind == ticket.kind and 0 < other.cost <= min(room, other.room):
                ticket.along.append(other)
                room -= other.cost
        for each in (ticket, *ticket.along):
            self._waiting.remove(each)
            each.state, each.started = "running", now
        self._running.add(ticket)
        return ticket

    def finish(self, ticket: Ticket, now: float, measured: bool = True) -> None:
        """A started ticket's worker is free again. `measured`: it was done to its end, so its time tells something."""
        self._running.remove(ticket)
        for each in (ticket, *ticket.along):
            each.state = "done"
        cost = ticket.cost + sum(other.cost for other in ticket.along)
        if measured and cost > 0:
            new = now - ticket.started, cost
            seconds, images = self._lately.get(ticket.kind, new)
            seconds, images = seconds + LATEST_PART * (new[0] - seconds), images + LATEST_PART * (new[1] - images)
            self._lately[ticket.kind] = seconds, images

    def withdraw(self, ticket: Ticket) -> None:
        """Nobody waits for a waiting ticket any more."""
        self._waiting.remove(ticket)
        ticket.state = "done"

    def _seconds_an_image(self, kind: Kind) -> float:
        """A quotient of two averages, in which a large request weighs as much as the many small ones that it is."""
        known = [self._lately[kind]] if kind in self._lately else list(self._lately.values())
        images = sum(images for _, images in known)
        return sum(seconds for seconds, _ in known) / images if images else FIRST_GUESS

    def _of_key(self, ticket: Ticket) -> Ticket | None:
        if ticket.key is None:
            return None
        running = [each for first in self._running for each in (first, *first.along)]
        of_key = [t for t in (*self._waiting, *running) if t.key == ticket.key and t.owner is not ticket.owner]
        return max(of_key, key=lambda older: older.arrived, default=None)


def overdue(ticket: Ticket, now: float) -> bool:
    return ticket.deadline is not None and now >= ticket.deadline
