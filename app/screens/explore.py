"""Explore: what does this level do to this image, and how hot is it?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from app import exploring, inspector, rail, recipes, stage
from app.client import Card, Recipe, SampleImage
from app.exploring import key
from app.intents import Intent
from app.measure import LARGE, Effect, effects
from app.screens.screen import Asking, Box, Plot, Query, Regions, Screen, Shown, number
from app.state import FreshSeed, Session

EFFECT_DRAWS = 16
EFFECT_ROWS = 32  # measured in one request
MANY = 64  # levels; above it all of them are measured only when asked, as above LARGE latents
MEASURED_KEPT = 16  # images whose effects are remembered
FIRST_PICTURES = 4  # test images that are shown while the first image is made


@dataclass(frozen=True)
class Measured:
    """What is known of one image: the effect of drawing a level, by number, or a resolution, by name, again."""

    levels: Mapping[int, Effect] = field(default_factory=dict)
    groups: Mapping[str, Effect] = field(default_factory=dict)


class Explore(Screen):
    name = "explore"
    title = "Explore"
    layout = Box(
        "explore",
        (
            Box("left", ("rail",)),
            Box("stage", ("toolbar", "pictures", "status", "strips")),
            Box("inspector", ("head", "itabs", "effect", Plot("bits"), "encoded", "foot"), classes="card insp"),
        ),
        row=True,
    )
    trouble = "status"
    later_trouble = "strips"

    def __init__(self, asking: Asking) -> None:
        super().__init__(asking)
        self._measured: dict[str, Measured] = {}

    @classmethod
    def first(cls, card: Card) -> Recipe:
        return recipes.first(card)

    @classmethod
    def apply(cls, session: Session, intent: Intent, card: Card, fresh_seed: FreshSeed) -> Session:
        return exploring.apply(session, intent, card, fresh_seed)

    @classmethod
    def query(cls, session: Session) -> dict[str, str]:
        view = session.view
        parts = {"image": str(view.image), "tab": view.tab}
        parts |= {"locks": ",".join(map(str, sorted(view.locks)))} if view.locks else {}
        return parts | ({"gallery": "1"} if view.gallery else {})

    @classmethod
    def restored(cls, session: Session, card: Card, query: Query) -> Session:
        locks = {number(lock) for lock in query.get("locks", "").split(",")}
        if query.get("tab") in inspector.TABS:
            session = session.seen(tab=query["tab"])
        return session.seen(
            image=number(query.get("image")) or 0,
            locks=frozenset(level for level in range(len(card.levels)) if level in locks),
            gallery=query.get("gallery") == "1",
        )

    async def opening(self, card: Card, session: Session) -> Regions:
        """The controls, and the model's own test images instead of a sample."""
        regions = {
            "rail": rail.rail(card, session),
            "toolbar": stage.toolbar(card, session, None),
            "head": inspector.head(card, session, {}),
            "itabs": inspector.tabs(session),
            "status": stage.loading("Loading the model"),
        }
        if pictures := await self.asking.examples(card, FIRST_PICTURES):
            regions["pictures"] = stage.examples(card, pictures)
        return regions

    def controls(self, card: Card, session: Session) -> Regions:
        tabs = {"itabs": inspector.tabs(session)}
        return {"rail": rail.rail(card, session), **tabs, **self._inspected(card, session)}

    async def show(self, card: Card, session: Session) -> Shown:
        answer = await self.client.sample(card.id, session.recipe)
        regions = {
            "toolbar": stage.toolbar(card, session, answer),
            "pictures": stage.pictures(card, session, answer),
            "status": stage.status(card, session, answer),
        }
        return Shown(regions, answer, answer.token)

    async def settle(self, card: Card, session: Session) -> AsyncIterator[Regions]:
        if session.view.tab in ("map", "rate"):
            yield {"encoded": await self._encoded(card, session)}
        yield {"strips": await self._strips(card, session)}
        await self._measure(card, session)
        yield self._inspected(card, session)

    async def _encoded(self, card: Card, session: Session) -> str:
        """What a tab shows that encodes the image first."""
        subject = {"recipe": recipes.with_output(recipes.single(session.recipe, session.view.image), "mean")}
        if session.view.tab == "map":
            return inspector.map_pane(card, await self.client.rate_maps(card.id, subject))
        return inspector.rate_pane(session, await self.client.progressive(card.id, subject))

    async def _strips(self, card: Card, session: Session) -> str:
        level, locks = session.view.level, session.view.locks
        one = recipes.single(session.recipe, session.view.image)
        alone = await self._strip(card, session, one, [level], recipes.draw(one, level))
        free = recipes.below(card, level, locks)
        below = await self._strip(card, session, one, free, stage.draw_below(card, session))
        return stage.strips(card, session, alone, below)

    async def _strip(
        self, card: Card, session: Session, one: Recipe, levels: Sequence[int], now: int
    ) -> list[SampleImage]:
        """The image with these levels at each draw of a strip; nothing where no level can be drawn again."""
        free = set(levels) - session.view.locks - recipes.held(one)
        if not free:
            return []
        asked = [recipes.with_draw(one, free, draw) for draw in stage.strip_draws(now)]
        return [answer.images[0] for answer in await self.asking.all(card, asked)]

    async def _measure(self, card: Card, session: Session) -> None:
        """Measure every level and every resolution; the selected level alone if that is too much unasked."""
        one = recipes.single(session.recipe, session.view.image)
        small = card.latents <= LARGE and len(card.levels) <= MANY
        everything = small or session.view.measured == key(session)
        known = self._measured.pop(key(session), Measured())
        self._measured[key(session)] = known
        wanted = range(len(card.levels)) if everything else [session.view.level]
        levels = [level for level in wanted if level not in known.levels]
        groups = [group for group in card.groups if everything and group.name not in known.groups]
        found = await self._effects(card, one, [*([level] for level in levels), *(group.levels for group in groups)])
        names = [group.name for group in groups]
        self._measured[key(session)] = Measured(
            levels={**known.levels, **dict(zip(levels, found, strict=False))},
            groups={**known.groups, **dict(zip(names, found[len(levels) :], strict=True))},
        )
        if len(self._measured) > MEASURED_KEPT:
            self._measured.pop(next(iter(self._measured)))

    async def _effects(self, card: Card, one: Recipe, choices: Sequence[Sequence[int]]) -> list[Effect]:
        """What drawing each choice of levels again does to the mean image, some in one request."""

        async def some(rows: Sequence[Sequence[int]]) -> list[Effect]:
            question = recipes.drawn_again(card, one, rows, EFFECT_DRAWS)
            async with self.asking.background:
                return effects(await self.client.inspect_arrays(card.id, question), EFFECT_DRAWS)

        parts = [choices[start : start + EFFECT_ROWS] for start in range(0, len(choices), EFFECT_ROWS)]
        return [effect for found in await asyncio.gather(*map(some, parts)) for effect in found]

    def _inspected(self, card: Card, session: Session) -> Regions:
        """The inspector, as far as this image was measured; nothing, so that it stays, where it was not."""
        known = self._measured.get(key(session))
        if known is None or session.view.level not in known.levels:
            return {}
        return {
            "head": inspector.head(card, session, known.levels),
            "effect": inspector.effect_pane(card, session, known.levels, EFFECT_DRAWS),
            "foot": inspector.foot(card, known.groups),
        }
