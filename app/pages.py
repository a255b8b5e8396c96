"""The open pages: what each looks at, and what it was told already.

A page calls with what a person did and is answered with the regions that changed. It makes one call at a time; where it
makes another nevertheless, the newer one takes the place of the older, whose work is stopped. A page that is not known,
because the explorer was started again, is opened from its link, and loses no more than its undo history.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field

from app.client import Card
from app.explorer import Explorer
from app.screens import AnyIntent
from app.screens.screen import Regions
from app.state import Session

KEPT = 500  # pages; the one that was quiet for longest is forgotten first
QUICK_S = 0.25  # a first image that takes longer is not waited for without showing anything

T = TypeVar("T")


class Call(BaseModel):
    """What a page sends: who it is, what it has, and the intents that were not answered yet."""

    model_config = ConfigDict(extra="forbid")

    page: str = ""  # as the first answer named it
    heard: int = 0  # the number of the last answer that arrived
    link: str = ""  # the page's address from "?" on
    seq: int = Field(default=0, ge=0)  # the last intent that it shows
    intents: list[AnyIntent] = []

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.link.removeprefix("?"), max_num_fields=50))


class Reply(TypedDict):
    """What it is answered: the regions that changed, which show everything up to intent `seq`."""

    page: str
    number: int
    seq: int
    regions: Regions
    more: bool  # whether there is more to come at rest
    opening: bool  # whether this is no more than what can be shown before the first image: call again
    moving: bool  # whether controls and link follow only then
    plot: str  # names the plot that is looked at, if there is one


@dataclass
class Page:
    """One page: its session, and a hash of what every region was told last."""

    id: str
    session: Session | None = None
    told: dict[str, int] = field(default_factory=dict)
    number: int = 0
    work: asyncio.Future[Any] | None = None
    later: AsyncIterator[Regions] | None = None

    def reply(self, heard: int, regions: Regions, more: bool, opening: bool = False) -> Reply:
        """These regions, without those that the page has already, if it heard the last answer."""
        if heard != self.number:
            self.told.clear()
        news = {name: text for name, text in regions.items() if self.told.get(name) != hash(text)}
        self.told |= {name: hash(text) for name, text in news.items()}
        self.number += 1
        return {
            "page": self.id,
            "number": self.number,
            "seq": self.session.seq if self.session else 0,
            "regions": news,
            "more": more,
            "opening": opening,
            "moving": self.session is not None and self.session.moving,
            "plot": " ".join(map(str, self.plotted or ())),
        }

    @property
    def plotted(self) -> tuple[str, int, str] | None:
        """Model, level and theme of the plot, while it is looked at."""
        now = self.session
        if now is None or now.screen != "explore" or now.view.tab != "bits":
            return None
        return now.model, now.view.level, now.view.theme

    async def newest(self, work: Awaitable[T]) -> T | None:
        """The result of this work; nothing if newer work took its place meanwhile."""
        if self.work is not None:
            self.work.cancel()
        self.work = mine = asyncio.ensure_future(work)
        await asyncio.wait([mine])
        return None if mine.cancelled() else mine.result()


class Pages:
    """All pages of one explorer. Its methods are what a page may call, with a `Call` as JSON."""

    def __init__(self, explorer: Explorer, new_id: Callable[[], str] = secrets.token_urlsafe) -> None:
        self._explorer = explorer
        self._new_id = new_id
        self._pages: OrderedDict[str, Page] = OrderedDict()

    async def act(self, sent: dict[str, Any]) -> Reply | None:
        """What must be seen at once after these intents; of a new page perhaps only how it will look."""
        call = Call.model_validate(sent)
        page = self._page(call.page)
        page.later = None
        found = await page.newest(self._shown(page, call))
        if found is None:
            return None
        session, regions, opening = found
        page.session = replace(session, seq=max(session.seq, call.seq)) if session else None
        return page.reply(call.heard, regions, more=session is not None, opening=opening)

    async def rest(self, sent: dict[str, Any]) -> Reply | None:
        """What may take a moment longer, piece by piece, for a page whose person rests."""
        call = Call.model_validate(sent)
        page = self._page(call.page)
        if page.session is None:
            return page.reply(call.heard, {}, more=False, opening=True)
        if page.later is None:
            page.later = self._explorer.settle(page.session)
        found = await page.newest(_next(page.later))
        return None if found is None else page.reply(call.heard, found[0], more=found[1])

    def plotted(self, id: str) -> tuple[Card, int, str] | None:
        """What the plot of this page shows, if it is looked at."""
        page = self._pages.get(id)
        if page is None or page.session is None or page.plotted is None:
            return None
        return self._explorer.card(page.session), page.session.view.level, page.session.view.theme

    async def _shown(self, page: Page, call: Call) -> tuple[Session | None, Regions, bool]:
        show = self._explorer.show(page.session, call.intents, call.query)
        if call.page:
            return *await show, False
        try:
            return *await asyncio.wait_for(show, QUICK_S), False
        except TimeoutError:
            return *await self._explorer.open(call.query), True

    def _page(self, id: str) -> Page:
        """The page of that name, or a new one of another name."""
        page = self._pages.pop(id, None) or Page(self._new_id())
        self._pages[page.id] = page
        if len(self._pages) > KEPT:
            self._pages.popitem(last=False)
        return page


async def _next(pieces: AsyncIterator[Regions]) -> tuple[Regions, bool]:
    """The next piece, and whether there may be another."""
    try:
        return await anext(pieces), True
    except StopAsyncIteration:
        return {}, False
