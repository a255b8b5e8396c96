"""Mix: which levels carry what, and why do noise space and latent space differ?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from app import mix, mixing, stage
from app.client import Card, Recipe, SampleImage
from app.intents import Intent
from app.measure import LARGE, decode, distance
from app.mixing import Mix as State
from app.mixing import Source, Spaces
from app.screens.screen import Box, Query, Regions, Screen, Shown
from app.state import FreshSeed, Session


class Mix(Screen):
    name = "mix"
    title = "Mix"
    layout = Box("mix", ("heading", Box("mixtop", ("sources", "levels", "results"), row=True), "mix_status", "matrix"))
    trouble = "mix_status"
    later_trouble = "matrix"

    @classmethod
    def first(cls, card: Card) -> State:
        return mixing.first(card)

    @classmethod
    def first_view(cls, card: Card) -> Spaces:
        return "both"

    @classmethod
    def apply(cls, session: Session, intent: Intent, card: Card, fresh_seed: FreshSeed) -> Session:
        return mixing.apply(session, intent, card, fresh_seed)

    @classmethod
    def query(cls, session: Session) -> dict[str, str]:
        return {"b": mixing.to_text(mixing.now(session).b), "spaces": mixing.wanted_spaces(session)}

    @classmethod
    def restored(cls, session: Session, card: Card, query: Query) -> Session:
        if query.get("spaces") in ("noise", "latent", "both"):
            session = session.with_view("mix", query["spaces"])
        b = mixing.from_text(query.get("b", ""), card)
        return session if b is None else session.restarted("mix", replace(mixing.now(session), b=b))

    @classmethod
    def recipe(cls, session: Session) -> Recipe:
        now = mixing.now(session)
        return mixing.mixed(now, "noise", len(now.temperature))

    @classmethod
    def with_recipe(cls, session: Session, card: Card, recipe: Recipe) -> Session:
        return session.restarted("mix", mixing.from_recipe(recipe, mixing.now(session)))

    def controls(self, card: Card, session: Session) -> Regions:
        return {"heading": mix.heading(card, session), "levels": mix.levels(card, mixing.now(session))}

    async def show(self, card: Card, session: Session) -> Shown:
        now, count = mixing.now(session), len(card.levels)
        spaces = mixing.shown_spaces(card, now, mixing.wanted_spaces(session))
        asked = [mixing.alone(now, now.a), mixing.alone(now, now.b), *(mixing.mixed(now, s, count) for s in spaces)]
        a, b, *mixes = await self.asking.all(card, asked)
        images = {space: answer.images[0] for space, answer in zip(spaces, mixes, strict=True)}
        regions = {
            "sources": mix.sources(card, now, a.images[0], b.images[0]),
            "results": mix.results(card, session, images),
            "mix_status": stage.note(session),
        }
        return Shown(regions, mixes[0], mixes[0].token)

    async def settle(self, card: Card, session: Session) -> AsyncIterator[Regions]:
        yield {"matrix": mix.matrix(card, session, await self._matrix(card, mixing.now(session)))}

    async def _matrix(self, card: Card, now: State) -> list[mix.Row]:
        sources, cuts, count = mixing.rows(now, card), mixing.cuts(card), len(card.levels)
        if card.latents > LARGE:
            sources = sources[:1]
        asked = [mixing.alone(now, source) for source in (now.a, *sources)]
        for source in sources:
            rows = [replace(now, b=source, levels=tuple(range(cut))) for cut in cuts]
            asked += [mixing.mixed(row, mixing.spaces(card, row)[0], count) for row in rows]
        images = [answer.images[0] for answer in await self.asking.all(card, asked)]
        a, alone, cells = images[0], images[1 : len(sources) + 1], images[len(sources) + 1 :]
        return [
            _row(source, a, b, cells[i * len(cuts) : (i + 1) * len(cuts)])
            for i, (source, b) in enumerate(zip(sources, alone, strict=True))
        ]


def _row(source: Source, a: SampleImage, b: SampleImage, cells: Sequence[SampleImage]) -> mix.Row:
    """A row of the matrix, with the first of its images that is closer to B than to A."""
    from_a, from_b = decode(a.png), decode(b.png)
    images = [decode(cell.png) for cell in cells]
    closer = [distance(image, from_b) < distance(image, from_a) for image in images]
    return mix.Row(source, b, tuple(cells), closer.index(True) if True in closer else None)
