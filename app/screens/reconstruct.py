"""Reconstruct: how many levels, and bits, does an image need?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from app import recipes, reconstruct, reconstructing, stage
from app.client import Card, Progressive, Recipe
from app.intents import Intent
from app.measure import LARGE
from app.reconstructing import Reconstruction, Source
from app.screens.screen import Asking, Box, Regions, Screen, Shown
from app.state import FreshSeed, Session


class Reconstruct(Screen):
    name = "reconstruct"
    title = "Reconstruct"
    layout = Box("reconstruct", ("question", "rec_status", Box("rec", ("picker", "kept", "curve"), row=True), "steps"))
    trouble = later_trouble = "rec_status"

    def __init__(self, asking: Asking) -> None:
        super().__init__(asking)
        self._peers: dict[tuple[str, str], tuple[Progressive, ...]] = {}  # by model and what the others do

    @classmethod
    def first(cls, card: Card) -> Reconstruction:
        return reconstructing.first(card)

    @classmethod
    def apply(cls, session: Session, intent: Intent, card: Card, fresh_seed: FreshSeed) -> Session:
        return reconstructing.apply(session, intent, card, fresh_seed)

    @classmethod
    def recipe(cls, session: Session) -> Recipe:
        return reconstructing.recipe(reconstructing.now(session), len(session.recipe["temperature"]))

    @classmethod
    def with_recipe(cls, session: Session, card: Card, recipe: Recipe) -> Session:
        now = reconstructing.from_recipe(recipe, reconstructing.now(session), len(card.levels))
        return session.restarted("reconstruct", now)

    def controls(self, card: Card, session: Session) -> Regions:
        return {"question": reconstruct.heading(session)}

    async def asked(self, card: Card, session: Session, intent: Intent) -> Session:
        def put(image: str) -> Session:
            return session.pushed("reconstruct", replace(reconstructing.now(session), source=Source(image=image)))

        return await self.uploaded(card, session, intent, put)

    async def show(self, card: Card, session: Session) -> Shown:
        """Every step at once, so that the scrubber asks for nothing more."""
        now = reconstructing.now(session)
        found = await self.client.progressive(card.id, now.source.subject, others=now.others)
        maps = await self.client.rate_maps(card.id, now.source.subject)
        step = found.steps[now.kept]
        regions = {
            "rec_status": stage.note(session),
            "picker": reconstruct.picker(card, now, await self.asking.examples(card)),
            "kept": reconstruct.view(card, now, found, maps),
            "curve": reconstruct.curve(now, found, self._peers.get((card.id, now.others), ())),
            "steps": reconstruct.strip(card, now, found),
        }
        return Shown(regions, step, recipes.to_token(step.recipe))

    async def settle(self, card: Card, session: Session) -> AsyncIterator[Regions]:
        """The same of all of the model's test images, to compare with; where that is not too much."""
        now = reconstructing.now(session)
        known = self._peers.get((card.id, now.others))
        if known is None and card.latents <= LARGE:
            asked = [self._progressive(card, {"example": example.index}, now.others) for example in card.examples]
            known = self._peers[card.id, now.others] = tuple(await asyncio.gather(*asked))
        if known:
            found = await self._progressive(card, now.source.subject, now.others)
            yield {"curve": reconstruct.curve(now, found, known)}

    async def _progressive(self, card: Card, subject: dict[str, Any], others: str) -> Progressive:
        async with self.asking.background:
            return await self.client.progressive(card.id, subject, others=others)
