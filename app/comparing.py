"""Two models asked the same: the state of the Compare screen, its intents, and the recipe of each side.

A is the model of the page and B another one. They share a seed, or an image where both take it, and one temperature a
resolution: whatever is set at 8 x 8 holds for the 8 x 8 levels of both, however many each has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from app import recipes
from app.client import Card, Group, Recipe
from app.intents import Intent, NewSeed, Seed
from app.reconstructing import Source
from app.state import FreshSeed, Session
from app.temperature import TOP, clean

Name = Annotated[str, Field(max_length=40)]  # of a model or a resolution

SEEDS = 5  # in the strip


class CompareWith(Intent):
    """Another model B."""

    do: Literal["compare_with"]
    id: Name


class CompareSeed(Intent):
    do: Literal["compare_seed"]
    seed: Seed


class CompareImage(Intent):
    """Ask both of a test image of A instead of a seed; without a number, of the seed again."""

    do: Literal["compare_image"]
    example: Annotated[int, Field(ge=0)] | None = None


class CompareTemperatures(Intent):
    """The whole rail as one value, by resolution. Values with the same `gesture` are one undo step."""

    do: Literal["compare_temperature"]
    values: Annotated[dict[Name, Annotated[float, Field(ge=0, le=TOP)]], Field(max_length=100)]
    gesture: int


class CompareDraw(Intent):
    """Draw the levels of a resolution although there is an image, or keep the image's again."""

    do: Literal["compare_draw"]
    group: Name


CompareIntent = CompareWith | CompareSeed | CompareImage | CompareTemperatures | CompareDraw


@dataclass(frozen=True)
class Comparison:
    """What both models are asked. `other` is B; None for the one that suits A best.

    `temperature` is by name of the resolution, 1 elsewhere. With a `picture`, all levels are the image's but those of
    the resolutions in `drawn`, which the seed draws.
    """

    other: str | None = None
    seed: int = recipes.FIRST_SEED
    picture: Source | None = None
    temperature: Mapping[str, float] = field(default_factory=dict)
    drawn: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Resolution:
    """A resolution and the levels that each model has there, if any."""

    name: str
    a: Group | None
    b: Group | None

    @property
    def only(self) -> str:
        """ "A" or "B" where only that one has it."""
        return "" if self.a and self.b else "A" if self.a else "B"


def now(session: Session) -> Comparison:
    found: Comparison = session.histories["compare"].present
    return found


def apply(session: Session, intent: Intent, card: Card, fresh_seed: FreshSeed) -> Session:
    """One intent. What does not fit the model, such as a test image that it has not got, changes nothing."""
    shown = now(session)
    match intent:
        case CompareWith():
            return _pushed(session, other=intent.id)
        case CompareSeed():
            return _pushed(session, seed=intent.seed)
        case CompareImage(example=None):
            return _pushed(session, picture=None)
        case CompareImage(example=int(example)) if example < len(card.examples):
            return _pushed(session, picture=Source(example=example))
        case CompareTemperatures():
            values = dict(zip(intent.values, clean([*intent.values.values()]), strict=True))
            return session.pushed(
                "compare", replace(shown, temperature={**shown.temperature, **values}), intent.gesture
            )
        case CompareDraw():
            return _pushed(session, drawn=shown.drawn ^ {intent.group})
        case NewSeed() if session.works_on == "compare":
            return _renewed(session, card, fresh_seed())
        case _:
            return session


def partner(card: Card, cards: Sequence[Card], wanted: str | None) -> Card | None:
    """B: the model that is wanted, or else the one that suits A best; None where A is alone."""
    others = [other for other in cards if other.id != card.id]
    named = [other for other in others if other.id == wanted]
    alike = sorted(others, key=lambda other: (not comparable(card, other), other.dataset != card.dataset))
    return next(iter([*named, *alike]), None)


def comparable(a: Card, b: Card) -> bool:
    """Whether both take the same images, so that one may be given to both, and their images subtracted."""
    return (a.image.height, a.image.width, a.image.channels) == (b.image.height, b.image.width, b.image.channels)


def resolutions(a: Card, b: Card) -> list[Resolution]:
    """Those of both models, coarsest first."""
    of_a, of_b = ({group.name: group for group in card.groups} for card in (a, b))
    both = {group.name: group for group in (*a.groups, *b.groups)}
    names = sorted(both, key=lambda name: both[name].height * both[name].width)
    return [Resolution(name, of_a.get(name), of_b.get(name)) for name in names]


def picture(shown: Comparison, a: Card, b: Card) -> Source | None:
    """The image that both are asked of, if there is one that both take."""
    known = shown.picture is not None and (shown.picture.example is None or shown.picture.example < len(a.examples))
    return shown.picture if known and comparable(a, b) else None


def temperature(shown: Comparison, name: str) -> float:
    return shown.temperature.get(name, 1.0)


def recipe(shown: Comparison, card: Card, image: Mapping[str, Any] | None = None, n: int = 1) -> Recipe:
    """What one model is asked: n images from the seed on, or `image`, a source such as `{"example": 3}`."""
    drawn = [level.index for level in card.levels if level.group in shown.drawn]
    edit = {"op": "resample", "levels": drawn, "draw": 0, "mode": "sample"}
    return {
        "recipe_version": 1,
        "source": {**(image or {}), "seed": shown.seed},
        "n": n,
        "temperature": [temperature(shown, level.group) for level in card.levels],
        "levels": {},
        "edits": [edit] if image and drawn else [],
        "output": {"image": "mean"},
    }


def from_recipe(found: Recipe, shown: Comparison, card: Card) -> Comparison:
    """`shown`, asked of what A's recipe says. What a link says beside it of a resolution has been read and stays."""
    source = found["source"]
    own = Source(source.get("example"), source.get("image"))
    edited = {level for edit in found["edits"] if edit["op"] == "resample" for level in edit["levels"]}
    values = {group.name: float(found["temperature"][group.levels[0]]) for group in card.groups}
    return replace(
        shown,
        seed=recipes.seed(found),
        picture=None if own == Source() else own,
        temperature={**values, **shown.temperature},
        drawn=shown.drawn | {group.name for group in card.groups if set(group.levels) <= edited},
    )


def to_query(shown: Comparison) -> dict[str, str]:
    """What a link says besides A's recipe: of resolutions that A has not got, too."""
    parts = {"t": ",".join(f"{name}:{value:g}" for name, value in sorted(shown.temperature.items()))}
    parts |= {"drawn": ",".join(sorted(shown.drawn)), "with": shown.other or ""}
    return {key: value for key, value in parts.items() if value}


def from_query(shown: Comparison, query: Mapping[str, str]) -> Comparison:
    """What `to_query` wrote; what makes no sense there is left out."""
    pairs = re.findall(r"([0-9]{1,5}x[0-9]{1,5}):([0-9](?:\.[0-9]{1,4})?)(?:,|$)", query.get("t", ""))
    values = dict(zip((name for name, _ in pairs), clean([float(value) for _, value in pairs]), strict=True))
    drawn = re.findall(r"[0-9]{1,5}x[0-9]{1,5}", query.get("drawn", ""))
    other = query.get("with", "")[:40] or shown.other
    return replace(shown, other=other, temperature=values, drawn=frozenset(drawn))


def _pushed(session: Session, **change: object) -> Session:
    return session.pushed("compare", replace(now(session), **change))  # type: ignore[arg-type]


def _renewed(session: Session, card: Card, seed: int) -> Session:
    """Any other seed; any other test image, where there is one that no seed changes."""
    shown = now(session)
    if shown.picture is None or shown.drawn or not card.examples:
        return _pushed(session, seed=seed)
    return _pushed(session, picture=Source(example=seed % len(card.examples)))
