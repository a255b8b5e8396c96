"""What a session shows: reads the cards, keeps track of the session, and leaves the rest to its screen.

`show` makes what must be there at once, the image and its controls; `settle` makes what may take a moment longer,
the strips, the effects and the matrix, once nothing moves. Both return only the regions that changed: when the
server cannot answer, the last image stays and one sentence says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from secrets import randbelow

from app import header, recipes, screens, stage
from app.client import Answer, ApiError, Card, Client, Unavailable
from app.dropped import Restore, carried
from app.intents import ChooseModel, Intent
from app.screens import SCREENS
from app.screens.screen import Asking, Query, Regions, Screen, Shown
from app.state import FreshSeed, Session

REGIONS = ("header", *(name for screen in SCREENS for name in screen.layout.regions))
TITLES = tuple((screen.name, screen.title) for screen in SCREENS)

NEW_SEEDS = 10_000


def fresh_seed() -> int:
    """A seed short enough to be read aloud."""
    return randbelow(NEW_SEEDS)


class Explorer:
    """One server's models, for any number of sessions. Holds no session itself."""

    def __init__(self, client: Client, fresh_seed: FreshSeed = fresh_seed) -> None:
        self._client = client
        self._fresh_seed = fresh_seed
        self._asking = Asking(client)
        self._screens: Mapping[str, Screen] = {screen.name: screen(self._asking) for screen in SCREENS}
        self._cards: dict[str, Card] = {}
        self._default: str | None = None

    async def open(self, query: Query) -> tuple[Session | None, Regions]:
        """A session from the link's parameters, with what can be shown until the first answer is there."""
        try:
            session = await self._opened(query)
            card = self.card(session)
            regions = await self._screen(session).opening(card, session)
        except ApiError as error:
            return None, _nothing(error)
        return session, {"header": self._header(card, session, None), **regions}

    async def show(
        self, session: Session | None, wanted: Sequence[Intent], query: Query
    ) -> tuple[Session | None, Regions]:
        """The session after these intents, and what must be seen of it at once."""
        if session is None or session.model not in self._cards:
            try:
                session = await self._opened(query)
            except ApiError as error:
                return None, _nothing(error)
        session = replace(await self._applied(session, wanted), moving=_moving(wanted))
        card, screen = self.card(session), self._screen(session)
        regions, shown = {} if session.moving else screen.controls(card, session), None
        try:
            shown = await screen.show(card, session)
            regions |= shown.regions
        except ApiError as error:
            regions[screen.trouble] = stage.trouble(error)
        if not session.moving:
            regions["header"] = self._header(card, session, shown)
        return session, regions

    async def settle(self, session: Session) -> AsyncIterator[Regions]:
        """What takes a moment longer, as it comes."""
        if session.moving:
            yield (await self.show(session, (), {}))[1]
        screen = self._screen(session)
        try:
            async for regions in screen.settle(self.card(session), session):
                yield regions
        except ApiError as error:
            yield {screen.later_trouble: stage.trouble(error)}

    def card(self, session: Session) -> Card:
        return self._cards[session.model]

    def _screen(self, session: Session) -> Screen:
        return self._screens[session.screen]

    async def _opened(self, query: Query) -> Session:
        """A session from the link's parameters. Raises ApiError."""
        await self._read_cards()
        return await self._restored(self._card(query.get("model")), query)

    async def _applied(self, session: Session, wanted: Sequence[Intent]) -> Session:
        for intent in wanted:
            if intent.seq <= session.seq:
                continue
            if isinstance(intent, ChooseModel) and intent.id in self._cards:
                session = screens.moved(session, self._cards[intent.id])
            card = self.card(session)
            session = screens.apply(session, [intent], card, self._fresh_seed)
            for screen in self._screens.values():
                session = await screen.asked(card, session, intent)
            if isinstance(intent, Restore):
                session = await self._dropped(session, intent)
        return screens.fitting(session, self.card(session))

    async def _dropped(self, session: Session, dropped: Restore) -> Session:
        """Explore with the recipe that a PNG carries. Where that cannot be, nothing changes, and it is told."""
        found = carried(dropped.data)
        if found is None:
            return replace(session, note="This file is no PNG that carries a recipe.")
        if found.model not in self._cards:
            return replace(session, note=f"This image was made by {found.model}, which the server has not got.")
        try:
            answer = await self._client.sample(found.model, found.recipe)
        except ApiError as error:
            return replace(session, note=f"The recipe in this image cannot be used: {error.sentence}")
        if found.model != session.model:
            fresh = screens.start(self._cards[found.model]).seen(theme=session.view.theme)
            session = replace(fresh, seq=session.seq)
        return replace(session.changed(recipes.from_resolved(answer.recipe)).seen(image=0), screen="explore")

    async def _restored(self, card: Card, query: Query) -> Session:
        """What the link says; where the server refuses its recipe, without that and saying so."""
        session = screens.restored(card, query)
        if "r" in query:
            try:
                recipe = recipes.from_resolved((await self._client.restore(card.id, query["r"])).recipe)
            except ApiError as error:
                if error.kind != "refused":
                    raise
                session = replace(session, note=f"The recipe in the link cannot be used: {error.sentence}")
            else:
                session = self._screen(session).with_recipe(session, card, recipe)
        return screens.fitting(session, card)

    async def _read_cards(self) -> None:
        models = await self._client.models()
        self._asking.forget()
        self._cards = {card.id: card for card in models.data if isinstance(card, Card) and card.state == "ready"}
        if not self._cards:
            reasons = "; ".join(f"{card.id}: {card.reason}" for card in models.data if isinstance(card, Unavailable))
            raise ApiError("not_ready", f"The server has no model that is ready. {reasons}".strip(), retry_after=5.0)
        self._asking.cards = self._cards
        self._default = models.default if models.default in self._cards else next(iter(self._cards))

    def _card(self, model: str | None) -> Card:
        return self._cards[model if model in self._cards else self._default]  # type: ignore[index]

    def _header(self, card: Card, session: Session, shown: Shown | None) -> str:
        screen = self._screen(session)
        token = shown.token if shown and shown.token else recipes.to_token(screen.recipe(session))
        query = {**screen.query(session), **(shown.query if shown else {})}
        link = header.link(session, query, token)
        place = header.Place(list(self._cards), TITLES, self._client.url, link)
        answer = shown.answer if shown else None
        made_by = answer.model if isinstance(answer, Answer) else card.id
        return header.header(place, card, session, answer.recipe if answer else {}, made_by)


def _nothing(error: ApiError) -> Regions:
    """The page while no model is known."""
    return {"header": header.bare(), "status": stage.trouble(error)}


def _moving(wanted: Sequence[Intent]) -> bool:
    """Whether there is nothing in these intents but what a drag, or keys in a row, move."""
    return bool(wanted) and all(getattr(intent, "gesture", None) is not None for intent in wanted)
