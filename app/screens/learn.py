"""Learn: what is a hierarchical VAE, step by step, each with images that answer to one handle?"""

from __future__ import annotations

import asyncio

from app import figures, learn, stage, touring
from app.client import Card, RateMaps
from app.intents import Intent
from app.screens.screen import Box, Query, Regions, Screen, Shown
from app.state import FreshSeed, Session
from app.touring import Control, Step, Tour


class Learn(Screen):
    name = "learn"
    title = "Learn"
    layout = Box(
        "learn",
        (
            "tour",
            "tour_status",
            Box("tour_step", ("tour_text", Box("tour_side", ("tour_live", "tour_figure"))), row=True),
        ),
    )
    trouble = later_trouble = "tour_status"
    outlives_model = True

    @classmethod
    def first(cls, card: Card) -> Tour:
        return Tour()

    @classmethod
    def apply(cls, session: Session, intent: Intent, card: Card, fresh_seed: FreshSeed) -> Session:
        return touring.apply(session, intent, len(touring.load()))

    @classmethod
    def query(cls, session: Session) -> dict[str, str]:
        return touring.to_query(touring.now(session))

    @classmethod
    def restored(cls, session: Session, card: Card, query: Query) -> Session:
        return session.restarted("learn", touring.from_query(query, len(touring.load())))

    def controls(self, card: Card, session: Session) -> Regions:
        steps, tour = touring.load(), touring.now(session)
        shown = learn.figure(steps[tour.step], self._model(tour), figures.load(), [*self.asking.cards.values()])
        return {
            "tour": learn.heading(steps, tour.step),
            "tour_text": learn.prose(steps[tour.step]),
            "tour_figure": shown,
        }

    async def show(self, card: Card, session: Session) -> Shown:
        """The step's images, of its own model. One that is not there is told, and the tour goes on."""
        tour = touring.now(session)
        step, about = touring.load()[tour.step], self._model(tour)
        if about is None:
            return Shown({"tour_status": stage.note(session), "tour_live": learn.missing(step)}, None)
        control = touring.control(step, about, tour.values.get(tour.step))
        rows = touring.rows(step, about, control)
        answers = await asyncio.gather(*(self.client.sample(about.id, row.recipe) for row in rows))
        picture, maps = await self._picture(step, about, control)
        opened = touring.address(step, about, control, answers[0].token)
        live = learn.live(step, about, control, learn.pictures(rows, answers, picture), maps, opened)
        return Shown({"tour_status": stage.note(session), "tour_live": live}, answers[0])

    def _model(self, tour: Tour) -> Card | None:
        return touring.model(touring.load()[tour.step], self.asking.cards)

    async def _picture(self, step: Step, card: Card, control: Control) -> tuple[str | None, RateMaps | None]:
        """The test image that the step is about, for `<img src>`, and where the step asks for it what it costs."""
        index = touring.example(step, control)
        if index is None:
            return None, None
        picture = (await self.asking.examples(card, index + 1))[index]
        asked = step.live == "example"
        return picture, await self.client.rate_maps(card.id, {"example": index}) if asked else None
