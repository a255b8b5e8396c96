"""Levels: what does each level control? The whole hierarchy on one page, from the image of Explore."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from app import laddering, levels, recipes
from app.client import ApiError, Card, Ladder
from app.intents import Intent
from app.laddering import LadderView, OpenCell
from app.screens.screen import Box, Query, Regions, Screen, Shown
from app.state import FreshSeed, Session


class Levels(Screen):
    name = "levels"
    title = "Levels"
    layout = Box("levels", ("ladder_heading", "ladder_status", "ladder_grid"))
    trouble = later_trouble = "ladder_status"

    @classmethod
    def first_view(cls, card: Card) -> LadderView:
        return laddering.first_view(card)

    @classmethod
    def apply(cls, session: Session, intent: Intent, card: Card, fresh_seed: FreshSeed) -> Session:
        return laddering.apply(session, intent, card, fresh_seed)

    @classmethod
    def query(cls, session: Session) -> dict[str, str]:
        return {"image": str(session.view.image), **laddering.to_query(laddering.view(session))}

    @classmethod
    def restored(cls, session: Session, card: Card, query: Query) -> Session:
        return session.with_view("levels", laddering.from_query(laddering.view(session), query))

    async def asked(self, card: Card, session: Session, intent: Intent) -> Session:
        """Explore with the recipe of a cell of the ladder. A cell that is not there changes nothing."""
        if not isinstance(intent, OpenCell):
            return session
        try:
            rows = (await self._ladder(card, session)).rows
        except ApiError as error:
            return replace(session, note=error.sentence)
        cells = [one for row in rows if row.levels == tuple(intent.levels) for one in row.cells]
        chosen = [one for one in cells if one.draw == intent.draw]
        if not chosen:
            return session
        session = session.changed(recipes.as_draws(chosen[0].recipe)).seen(image=0)
        return replace(session.selected(card, intent.levels[0]), screen="explore")

    async def show(self, card: Card, session: Session) -> Shown:
        """The image that the ladder starts from; the ladder itself comes in a moment."""
        answer = await self.client.sample(card.id, recipes.with_output(session.recipe, "mean"))
        regions = {
            "ladder_heading": levels.heading(card, session, answer.images[session.view.image]),
            "ladder_status": levels.waiting(card, session),
        }
        return Shown(regions, answer)

    async def settle(self, card: Card, session: Session) -> AsyncIterator[Regions]:
        found = await self._ladder(card, session)
        yield {"ladder_grid": levels.grid(card, session, found), "ladder_status": ""}

    async def _ladder(self, card: Card, session: Session) -> Ladder:
        one = recipes.with_output(recipes.single(session.recipe, session.view.image), "mean")
        async with self.asking.background:
            return await self.client.ladder(card.id, one, **laddering.question(card, laddering.view(session), one))
