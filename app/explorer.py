"""What a session shows: asks the server, and turns its answers into the HTML of the page's regions.

`show` makes what must be there at once, the image and its controls; `settle` makes what may take a moment longer,
the strips, the effects and the matrix, once nothing moves. Both return only the regions that changed: when the
server cannot answer, the last image stays and one sentence says so.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from secrets import randbelow

from app import header, inspector, laddering, levels, mix, mixing, rail, recipes, reconstruct, reconstructing, stage
from app.client import Answer, ApiError, Card, Client, Ladder, Recipe, SampleImage, Step, Unavailable
from app.intents import AnyIntent, ChooseModel, OpenCell, Upload
from app.measure import LARGE, Effect, decode, distance, effects
from app.mixing import Mix, Source
from app.state import FreshSeed, History, Session, View, apply, key, start

Regions = dict[str, str]

EXPLORE = ("toolbar", "pictures", "status", "rail", "head", "itabs", "strips", "effect", "foot")
MIX = ("heading", "sources", "levels", "results", "mix_status", "matrix")
LEVELS = ("ladder_heading", "ladder_status", "ladder_grid")
RECONSTRUCT = ("question", "rec_status", "picker", "kept", "curve", "steps")
REGIONS = ("header", *EXPLORE, *LEVELS, *MIX, *RECONSTRUCT)
# where each screen says what could not be had: of what must be there at once, and of what may take a moment
TROUBLE = {"explore": "status", "levels": "ladder_status", "mix": "mix_status", "reconstruct": "rec_status"}
LATER_TROUBLE = {"explore": "strips", "levels": "ladder_status", "mix": "matrix", "reconstruct": "rec_status"}

EFFECT_DRAWS = 16
EFFECT_ROWS = 32  # measured in one request
MANY = 64  # levels; above it all of them are measured only when asked, as above LARGE latents
AT_ONCE = 2  # requests under way for one screen; the image itself never waits for them
NEW_SEEDS = 10_000
PICTURES = 12  # test images to pick from at a glance
MEASURED_KEPT = 16  # images whose effects are remembered


@dataclass(frozen=True)
class Measured:
    """What is known of one image: the effect of drawing a level, by number, or a resolution, by name, again."""

    levels: Mapping[int, Effect] = field(default_factory=dict)
    groups: Mapping[str, Effect] = field(default_factory=dict)


def fresh_seed() -> int:
    """A seed short enough to be read aloud."""
    return randbelow(NEW_SEEDS)


class Explorer:
    """One server's models, for any number of sessions. Holds no session itself."""

    def __init__(self, client: Client, fresh_seed: FreshSeed = fresh_seed) -> None:
        self._client = client
        self._fresh_seed = fresh_seed
        self._cards: dict[str, Card] = {}
        self._default: str | None = None
        self._measured: dict[str, Measured] = {}
        self._examples: dict[str, list[str]] = {}
        self._background = asyncio.Semaphore(AT_ONCE)

    async def open(self, query: Mapping[str, str]) -> tuple[Session | None, Regions]:
        """A session from the link's parameters, with the model's own test images until the first answer is there."""
        try:
            await self._read_cards()
            card = self._card(query.get("model"))
            session = await self._restored(card, query)
            first = [await self._client.example(card, example.index) for example in card.examples[:4]]
        except ApiError as error:
            return None, {"header": header.bare(), "status": stage.trouble(error)}
        regions = {
            "header": self._header(card, session, None),
            "rail": rail.rail(card, session),
            "toolbar": stage.toolbar(card, session, None),
            "head": inspector.head(card, session, {}),
            "itabs": inspector.tabs(session),
            "status": stage.loading("Loading the model"),
        }
        if first:
            urls = ["data:image/png;base64," + base64.b64encode(png).decode() for png in first]
            regions["pictures"] = stage.examples(card, urls)
        return session, regions

    async def show(
        self, session: Session | None, wanted: Sequence[AnyIntent], query: Mapping[str, str]
    ) -> tuple[Session | None, Regions]:
        """The session after these intents, and what must be seen of it at once."""
        if session is None or session.model not in self._cards:
            session, regions = await self.open(query)
            if session is None:
                return None, regions
        session = await self._applied(session, wanted)
        card = self._cards[session.model]
        regions = self._controls(card, session)
        answer: Answer | Step | None = None
        try:
            answer, pictures = await self._shown(card, session)
            regions |= pictures
        except ApiError as error:
            regions[TROUBLE[session.screen]] = stage.trouble(error)
        regions["header"] = self._header(card, session, answer)
        return session, regions

    async def settle(self, session: Session) -> AsyncIterator[Regions]:
        """What takes a moment longer, as it comes."""
        card = self._cards[session.model]
        try:
            if session.screen == "mix":
                yield {"matrix": mix.matrix(card, session, await self._matrix(card, session.mix.present))}
            elif session.screen == "levels":
                found = await self._ladder(card, session)
                yield {"ladder_grid": levels.grid(card, session, found), "ladder_status": ""}
            elif session.screen == "explore":
                yield {"strips": await self._strips(card, session)}
                await self._measure(card, session)
                yield self._inspected(card, session)
        except ApiError as error:
            yield {LATER_TROUBLE[session.screen]: stage.trouble(error)}

    def card(self, session: Session) -> Card:
        return self._cards[session.model]

    # --- sessions ---------------------------------------------------------------------------------------------

    async def _applied(self, session: Session, wanted: Sequence[AnyIntent]) -> Session:
        for intent in wanted:
            card = self._cards[session.model]
            if isinstance(intent, ChooseModel) and intent.seq > session.seq and intent.id in self._cards:
                fresh = start(self._cards[intent.id])
                session = replace(fresh, screen=session.screen, seq=intent.seq)
                session = session.seen(theme=session.view.theme)
            elif isinstance(intent, OpenCell) and intent.seq > session.seq:
                session = replace(await self._opened(card, session, intent), seq=intent.seq)
            elif isinstance(intent, Upload) and intent.seq > session.seq:
                session = replace(await self._uploaded(card, session, intent), seq=intent.seq)
            session = apply(session, [intent], card, self._fresh_seed)
        return session

    async def _uploaded(self, card: Card, session: Session, sent: Upload) -> Session:
        """The image as the model sees it, to be reconstructed. What is no image changes nothing, and is told."""
        try:
            encoded = await self._client.encode(card.id, base64.b64decode(sent.data), sent.media_type)
        except (ApiError, ValueError) as error:
            return replace(session, note=error.sentence if isinstance(error, ApiError) else "This is no image file.")
        source = reconstructing.Source(image=encoded.image.data)
        return session.reconstructed(replace(session.reconstruct.present, source=source))

    async def _opened(self, card: Card, session: Session, cell: OpenCell) -> Session:
        """Explore with the recipe of a cell of the ladder. A cell that is not there changes nothing."""
        try:
            rows = (await self._ladder(card, session)).rows
        except ApiError as error:
            return replace(session, note=error.sentence)
        chosen = [one for row in rows if row.levels == tuple(cell.levels) for one in row.cells if one.draw == cell.draw]
        if not chosen:
            return session
        session = session.changed(recipes.as_draws(chosen[0].recipe)).seen(image=0)
        return replace(session.selected(card, cell.levels[0]), screen="explore")

    async def _restored(self, card: Card, query: Mapping[str, str]) -> Session:
        """What the link says, as far as it makes sense; the rest as at the start."""
        session = start(card)
        if query.get("screen") in ("levels", "mix", "reconstruct"):
            session = replace(session, screen=query["screen"])  # type: ignore[arg-type]
        session = replace(session, view=_view(session.view, card, query))
        if (b := mixing.from_text(query.get("b", ""), card)) is not None:
            session = replace(session, mix=History(replace(session.mix.present, b=b)))
        if "r" in query:
            session = await self._with_token(card, session, query["r"])
        return apply(session, [], card, self._fresh_seed)

    async def _with_token(self, card: Card, session: Session, token: str) -> Session:
        """The session with the recipe of a permalink; where the server refuses it, without it and saying so."""
        try:
            recipe = recipes.from_resolved((await self._client.restore(card.id, token)).recipe)
        except ApiError as error:
            if error.kind != "refused":
                raise
            return replace(session, note=f"The recipe in the link cannot be used: {error.sentence}")
        if session.screen == "mix":
            return replace(session, mix=History(mixing.from_recipe(recipe, session.mix.present)))
        if session.screen == "reconstruct":
            now = reconstructing.from_recipe(recipe, session.reconstruct.present, len(card.levels))
            return replace(session, reconstruct=History(now))
        return replace(session, explore=History(recipe))

    async def _read_cards(self) -> None:
        models = await self._client.models()
        self._client.forget()
        self._examples.clear()
        self._cards = {card.id: card for card in models.data if isinstance(card, Card) and card.state == "ready"}
        if not self._cards:
            reasons = "; ".join(f"{card.id}: {card.reason}" for card in models.data if isinstance(card, Unavailable))
            raise ApiError("not_ready", f"The server has no model that is ready. {reasons}".strip(), retry_after=5.0)
        self._default = models.default if models.default in self._cards else next(iter(self._cards))

    def _card(self, model: str | None) -> Card:
        return self._cards[model if model in self._cards else self._default]  # type: ignore[index]

    # --- at once --------------------------------------------------------------------------------------------------

    def _controls(self, card: Card, session: Session) -> Regions:
        """All that needs no answer, so that controls follow even while the server is busy."""
        if session.screen == "levels":
            return {}
        if session.screen == "reconstruct":
            return {"question": reconstruct.heading(session)}
        if session.screen == "mix":
            return {"heading": mix.heading(card, session), "levels": mix.levels(card, session.mix.present)}
        tabs = {"itabs": inspector.tabs(session)}
        return {"rail": rail.rail(card, session), **tabs, **self._inspected(card, session)}

    async def _shown(self, card: Card, session: Session) -> tuple[Answer | Step, Regions]:
        match session.screen:
            case "explore":
                return await self._explore(card, session)
            case "levels":
                return await self._levels(card, session)
            case "mix":
                return await self._mix(card, session)
            case "reconstruct":
                return await self._reconstruct(card, session)

    async def _explore(self, card: Card, session: Session) -> tuple[Answer, Regions]:
        answer = await self._client.sample(card.id, session.recipe)
        return answer, {
            "toolbar": stage.toolbar(card, session, answer),
            "pictures": stage.pictures(card, session, answer),
            "status": stage.status(card, session, answer),
        }

    async def _levels(self, card: Card, session: Session) -> tuple[Answer, Regions]:
        """The image that the ladder starts from; the ladder itself comes in a moment."""
        answer = await self._client.sample(card.id, recipes.with_output(session.recipe, "mean"))
        return answer, {
            "ladder_heading": levels.heading(card, session, answer.images[session.view.image]),
            "ladder_status": levels.waiting(card, session),
        }

    async def _mix(self, card: Card, session: Session) -> tuple[Answer, Regions]:
        now, count = session.mix.present, len(card.levels)
        spaces = mixing.shown_spaces(card, now, session.view.spaces)
        asked = [mixing.alone(now, now.a), mixing.alone(now, now.b), *(mixing.mixed(now, s, count) for s in spaces)]
        a, b, *mixes = await self._all(card, asked)
        images = {space: answer.images[0] for space, answer in zip(spaces, mixes, strict=True)}
        return mixes[0], {
            "sources": mix.sources(card, now, a.images[0], b.images[0]),
            "results": mix.results(card, session, images),
            "mix_status": "",
        }

    async def _reconstruct(self, card: Card, session: Session) -> tuple[Step, Regions]:
        """Every step at once, so that the scrubber asks for nothing more."""
        now = session.reconstruct.present
        found = await self._client.progressive(card.id, now.source.subject, others=now.others)
        maps = await self._client.rate_maps(card.id, now.source.subject)
        return found.steps[now.kept], {
            "rec_status": stage.note(session),
            "picker": reconstruct.picker(card, now, await self._pictures(card)),
            "kept": reconstruct.view(card, now, found, maps),
            "curve": reconstruct.curve(now, found),
            "steps": reconstruct.strip(card, now, found),
        }

    async def _pictures(self, card: Card) -> list[str]:
        """The model's test images for `<img src>`."""
        if card.id not in self._examples:
            files = [await self._client.example(card, example.index) for example in card.examples[:PICTURES]]
            self._examples[card.id] = ["data:image/png;base64," + base64.b64encode(png).decode() for png in files]
        return self._examples[card.id]

    def _header(self, card: Card, session: Session, answer: Answer | Step | None) -> str:
        return header.header(list(self._cards), card, session, answer, self._client.url)

    # --- in a moment ------------------------------------------------------------------------------------------------

    async def _strips(self, card: Card, session: Session) -> str:
        level, locks = session.view.level, session.view.locks
        one = recipes.single(session.recipe, session.view.image)
        alone = await self._strip(card, session, one, [level], recipes.draw(one, level))
        free = recipes.below(card, level, locks)
        below = await self._strip(card, session, one, free, stage.draw_below(card, session))
        return stage.strips(card, session, alone, below)

    async def _ladder(self, card: Card, session: Session) -> Ladder:
        one = recipes.with_output(recipes.single(session.recipe, session.view.image), "mean")
        async with self._background:
            return await self._client.ladder(card.id, one, **laddering.question(card, session.view.ladder, one))

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

    async def _strip(
        self, card: Card, session: Session, one: Recipe, levels: Sequence[int], now: int
    ) -> list[SampleImage]:
        """The image with these levels at each draw of a strip; nothing where no level can be drawn again."""
        free = set(levels) - session.view.locks - recipes.held(one)
        if not free:
            return []
        asked = [recipes.with_draw(one, free, draw) for draw in stage.strip_draws(now)]
        return [answer.images[0] for answer in await self._all(card, asked)]

    async def _effects(self, card: Card, one: Recipe, choices: Sequence[Sequence[int]]) -> list[Effect]:
        """What drawing each choice of levels again does to the mean image, some in one request."""

        async def some(rows: Sequence[Sequence[int]]) -> list[Effect]:
            question = recipes.drawn_again(card, one, rows, EFFECT_DRAWS)
            async with self._background:
                return effects(await self._client.inspect_arrays(card.id, question), EFFECT_DRAWS)

        parts = [choices[start : start + EFFECT_ROWS] for start in range(0, len(choices), EFFECT_ROWS)]
        return [effect for found in await asyncio.gather(*map(some, parts)) for effect in found]

    async def _matrix(self, card: Card, now: Mix) -> list[mix.Row]:
        sources, cuts, count = mixing.rows(now, card), mixing.cuts(card), len(card.levels)
        if card.latents > LARGE:
            sources = sources[:1]
        asked = [mixing.alone(now, source) for source in (now.a, *sources)]
        for source in sources:
            rows = [replace(now, b=source, levels=tuple(range(cut))) for cut in cuts]
            asked += [mixing.mixed(row, mixing.spaces(card, row)[0], count) for row in rows]
        images = [answer.images[0] for answer in await self._all(card, asked)]
        a, alone, cells = images[0], images[1 : len(sources) + 1], images[len(sources) + 1 :]
        return [
            _row(source, a, b, cells[i * len(cuts) : (i + 1) * len(cuts)])
            for i, (source, b) in enumerate(zip(sources, alone, strict=True))
        ]

    async def _all(self, card: Card, asked: Sequence[Recipe]) -> list[Answer]:
        """Answers to several recipes, a few at a time, so that nobody else's image waits long."""

        async def one(recipe: Recipe) -> Answer:
            async with self._background:
                return await self._client.sample(card.id, recipe)

        return list(await asyncio.gather(*(one(recipe) for recipe in asked)))


def _row(source: Source, a: SampleImage, b: SampleImage, cells: Sequence[SampleImage]) -> mix.Row:
    """A row of the matrix, with the first of its images that is closer to B than to A."""
    from_a, from_b = decode(a.png), decode(b.png)
    images = [decode(cell.png) for cell in cells]
    closer = [distance(image, from_b) < distance(image, from_a) for image in images]
    return mix.Row(source, b, tuple(cells), closer.index(True) if True in closer else None)


def _view(view: View, card: Card, query: Mapping[str, str]) -> View:
    """The view that a link asks for. Numbers that are none, or name nothing, are left out."""
    level, image = _number(query.get("level")), _number(query.get("image"))
    locks = {_number(lock) for lock in query.get("locks", "").split(",")}
    if level is not None and level < len(card.levels):
        view = replace(view, level=level, open=view.open | {card.group_of(level).name})
    if query.get("tab") in ("effect", "bits"):
        view = replace(view, tab=query["tab"])  # type: ignore[arg-type]
    if query.get("spaces") in ("noise", "latent", "both"):
        view = replace(view, spaces=query["spaces"])  # type: ignore[arg-type]
    view = replace(view, ladder=laddering.from_query(view.ladder, query))
    if query.get("theme") == "dark":
        view = replace(view, theme="dark")
    return replace(
        view,
        image=image or 0,
        locks=frozenset(level for level in range(len(card.levels)) if level in locks),
        gallery=query.get("gallery") == "1",
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None
