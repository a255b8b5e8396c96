"""Compare: how do two models differ, on one seed or image, level by level?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from app import compare, comparing, costs, html, stage
from app.client import Card, Recipe
from app.comparing import Comparison
from app.costs import Side
from app.intents import Intent
from app.reconstructing import Source
from app.screens.screen import Box, Query, Regions, Screen, Shown
from app.state import FreshSeed, Session

Subject = Mapping[str, Any] | None
Subjects = tuple[Subject, Subject]


class Compare(Screen):
    name = "compare"
    title = "Compare"
    layout = Box(
        "compare",
        (
            "both",
            "both_status",
            Box(
                "cmp",
                (
                    Box("cmp_asked", ("both_source", "both_rail", "both_seeds")),
                    Box("cmp_made", ("both_images", Box("cmp_costs", ("both_rates", "both_figures"), row=True))),
                ),
                row=True,
            ),
        ),
    )
    trouble = later_trouble = "both_status"
    outlives_model = True

    @classmethod
    def first(cls, card: Card) -> Comparison:
        return Comparison()

    @classmethod
    def apply(cls, session: Session, intent: Intent, card: Card, fresh_seed: FreshSeed) -> Session:
        return comparing.apply(session, intent, card, fresh_seed)

    @classmethod
    def query(cls, session: Session) -> dict[str, str]:
        return comparing.to_query(comparing.now(session))

    @classmethod
    def restored(cls, session: Session, card: Card, query: Query) -> Session:
        return session.restarted("compare", comparing.from_query(comparing.now(session), query))

    @classmethod
    def with_recipe(cls, session: Session, card: Card, recipe: Recipe) -> Session:
        return session.restarted("compare", comparing.from_recipe(recipe, comparing.now(session), card))

    def controls(self, card: Card, session: Session) -> Regions:
        now, other = comparing.now(session), self._other(card, session)
        found = {"both": compare.heading(card, other, list(self.asking.cards))}
        return found | ({"both_rail": compare.temperatures(card, other, now)} if other else {})

    async def asked(self, card: Card, session: Session, intent: Intent) -> Session:
        def put(image: str) -> Session:
            return session.pushed("compare", replace(comparing.now(session), picture=Source(image=image)))

        return await self.uploaded(card, session, intent, put)

    async def show(self, card: Card, session: Session) -> Shown:
        now, other = comparing.now(session), self._other(card, session)
        if other is None:
            answer = await self.client.sample(card.id, comparing.recipe(now, card))
            nothing = dict.fromkeys(self.layout.regions, "")
            return Shown({**nothing, **self.controls(card, session), "both_status": compare.alone()}, answer)
        asked = await self._asked(card, other, now)
        a, b = await asyncio.gather(self._side("A", card, now, asked[0]), self._side("B", other, now, asked[1]))
        original = asked[1]["image"] if asked[1] else None
        regions = {
            "both_status": stage.note(session),
            "both_source": compare.source(card, other, now, await self.asking.examples(card, compare.PICKED)),
            "both_images": compare.images(a, b, original, self.client.url),
            "both_rates": costs.rates(a, b),
            "both_figures": costs.figures(a, b),
        }
        return Shown(regions, a.answer, a.answer.token, {"with": other.id})

    async def settle(self, card: Card, session: Session) -> AsyncIterator[Regions]:
        """The next seeds, where a seed changes anything."""
        now, other = comparing.now(session), self._other(card, session)
        if other is not None:
            pictured = comparing.picture(now, card, other) is not None
            fixed = pictured and not now.drawn
            yield {"both_seeds": compare.no_seeds() if fixed else await self._seeds(card, other, now)}

    def _other(self, card: Card, session: Session) -> Card | None:
        return comparing.partner(card, [*self.asking.cards.values()], comparing.now(session).other)

    async def _asked(self, a: Card, b: Card, now: Comparison) -> Subjects:
        """The image that each of them is asked of, if any: B has other test images than A."""
        chosen = comparing.picture(now, a, b)
        if chosen is None:
            return None, None
        if chosen.example is None:
            return chosen.subject, chosen.subject
        pictures = await self.asking.examples(a, chosen.example + 1)
        return chosen.subject, {"image": pictures[chosen.example].removeprefix(html.PNG)}

    async def _side(self, letter: str, card: Card, now: Comparison, subject: Subject) -> Side:
        answer = await self.client.sample(card.id, comparing.recipe(now, card, subject))
        return Side(letter, card, answer, await self.client.rate_maps(card.id, subject) if subject else None)

    async def _seeds(self, a: Card, b: Card, now: Comparison) -> str:
        asked = zip((a, b), await self._asked(a, b, now), strict=True)
        recipes = [(card, comparing.recipe(now, card, subject, comparing.SEEDS)) for card, subject in asked]
        return compare.seeds(a, b, now, [(await self.asking.all(card, [recipe]))[0] for card, recipe in recipes])
