"""Two images and a choice of levels: the state of the Mix screen, its intents, and the recipes that it stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from math import ceil
from typing import Annotated, Any, Literal

from pydantic import Field

from app import recipes
from app.client import Card, Recipe
from app.intents import Intent, LevelIndex, NewSeed, Seed
from app.recipes import MAX_SEED, temperature
from app.state import FreshSeed, Session
from app.temperature import Temperatures

Space = Literal["noise", "latent"]
Spaces = Literal["noise", "latent", "both"]
Source = dict[str, Any]  # {"seed": s} or {"example": i}

MATRIX_COLUMNS = 11
MATRIX_ROWS = 4


class MixLevel(Intent):
    """Take one level from the other image."""

    do: Literal["mix_level"]
    level: LevelIndex


class MixCut(Intent):
    """Take the first `cut` levels from B, and with a cell of the matrix that row's B as well."""

    do: Literal["mix_cut"]
    cut: Annotated[int, Field(ge=0)]
    row: Annotated[int, Field(ge=0)] | None = None


class MixQuick(Intent):
    do: Literal["mix_quick"]
    name: Literal["none", "coarse", "middle", "fine", "all"]


class MixSource(Intent):
    """Another A or B: a seed or one of the model's test images."""

    do: Literal["mix_source"]
    which: Literal["a", "b"]
    seed: Seed | None = None
    example: Annotated[int, Field(ge=0)] | None = None


class MixSwap(Intent):
    """B becomes A and A becomes B."""

    do: Literal["mix_swap"]


class MixSpaces(Intent):
    """Which of the two ways to copy a level is shown."""

    do: Literal["mix_spaces"]
    spaces: Spaces


class MixExplore(Intent):
    """Open one of the two mixes on the Explore screen."""

    do: Literal["mix_explore"]
    space: Space


MixIntent = MixLevel | MixCut | MixQuick | MixSource | MixSwap | MixSpaces | MixExplore


@dataclass(frozen=True)
class Mix:
    """Image A with `levels` taken from image B, both drawn at one temperature a level."""

    a: Source
    b: Source
    levels: tuple[int, ...]
    temperature: Temperatures

    def toggled(self, level: int) -> Mix:
        return replace(self, levels=tuple(sorted(set(self.levels) ^ {level})))

    def swapped(self) -> Mix:
        return replace(self, a=self.b, b=self.a)


def first(card: Card) -> Mix:
    """The image that Explore opens with, and the coarse levels of the next."""
    recipe = recipes.first(card)
    seed = recipes.seed(recipe)
    return Mix({"seed": seed}, {"seed": seed + 1}, QUICK["coarse"](card), temperature(recipe))


def now(session: Session) -> Mix:
    found: Mix = session.histories["mix"].present
    return found


def wanted_spaces(session: Session) -> Spaces:
    found: Spaces = session.views["mix"]
    return found


def apply(session: Session, intent: Intent, card: Card, fresh_seed: FreshSeed) -> Session:
    """One intent. What does not fit the model, such as a test image that it has not got, changes nothing."""
    mix = now(session)
    match intent:
        case MixLevel():
            return session.pushed("mix", mix.toggled(intent.level))
        case MixQuick():
            return session.pushed("mix", replace(mix, levels=QUICK[intent.name](card)))
        case MixCut():
            sources = rows(mix, card)
            b = mix.b if intent.row is None or intent.row >= len(sources) else sources[intent.row]
            return session.pushed("mix", replace(mix, b=b, levels=tuple(range(min(intent.cut, len(card.levels))))))
        case MixSource() if (source := chosen(intent.seed, intent.example, card)) is not None:
            return session.pushed("mix", replace(mix, a=source) if intent.which == "a" else replace(mix, b=source))
        case MixSwap():
            return session.pushed("mix", mix.swapped())
        case NewSeed() if session.works_on == "mix":
            return session.pushed("mix", _new_pair(mix, card, fresh_seed))
        case MixSpaces():
            return session.with_view("mix", intent.spaces)
        case MixExplore():
            recipe = mixed(mix, intent.space, len(card.levels))
            return replace(session.changed(recipe).seen(image=0), screen="explore")
        case _:
            return session


def mixed(mix: Mix, space: Space, count: int) -> Recipe:
    """The recipe of the mix, for a model of `count` levels.

    Every level names where it comes from. In latent space that copies z from both images. In noise space it copies
    (z - mu) / sigma, so each level acts under the prior that the levels above it, of either image, now give.
    """
    from_a = [level for level in range(count) if level not in mix.levels]
    edits = [
        {"op": "swap", "levels": levels, "source": source, "space": space}
        for levels, source in ((from_a, mix.a), (list(mix.levels), mix.b))
        if levels
    ]
    return {**alone(mix, mix.a), "edits": edits}


def spaces(card: Card, mix: Mix) -> tuple[Space, ...]:
    """What the two images can exchange. A latent that is 0 or 1 does not say which noise made it, so a test image has
    none to give; a seed has."""
    encoded = "example" in mix.a or "example" in mix.b
    return ("latent",) if card.prior == "bernoulli" and encoded else ("noise", "latent")


def shown_spaces(card: Card, mix: Mix, wanted: Spaces) -> tuple[Space, ...]:
    """Those of them that a person wants to see, or all where there is no such."""
    offered = spaces(card, mix)
    return tuple(space for space in offered if wanted in ("both", space)) or offered


def alone(mix: Mix, source: Source) -> Recipe:
    """The recipe of A or B as it is."""
    return {
        "recipe_version": 1,
        "source": source,
        "n": 1,
        "temperature": list(mix.temperature),
        "levels": {},
        "edits": [],
        "output": {"image": "mean"},
    }


def from_recipe(recipe: Recipe, otherwise: Mix) -> Mix:
    """The mix that a recipe made by `mixed` stands for. A choice of no level does not name B; `otherwise` does."""
    a = _plain(recipe["source"])
    edits = [edit for edit in recipe["edits"] if edit["op"] == "swap"]
    b, levels = otherwise.b, ()
    if edits and (len(edits) > 1 or _plain(edits[-1]["source"]) != a):
        b, levels = _plain(edits[-1]["source"]), tuple(edits[-1]["levels"])
    return Mix(a, b, levels, temperature(recipe))


def thirds(card: Card) -> dict[str, tuple[int, ...]]:
    """Coarse, middle and fine: the resolutions (the levels, if there is but one) in three parts, the first largest."""
    if len(card.groups) == 1:
        count = len(card.levels)
        first, second = ceil(count / 3), ceil(2 * count / 3)
        spans = (range(first), range(first, second), range(second, count))
        return dict(zip(("coarse", "middle", "fine"), map(tuple, spans), strict=True))
    count = len(card.groups)
    ends = [ceil(count / 3), ceil(2 * count / 3)] if count > 2 else [1, 1]
    parts = (card.groups[: ends[0]], card.groups[ends[0] : ends[1]], card.groups[ends[1] :])
    levels = [tuple(level for group in part for level in group.levels) for part in parts]
    return dict(zip(("coarse", "middle", "fine"), levels, strict=True))


QUICK: dict[str, Callable[[Card], tuple[int, ...]]] = {
    "none": lambda card: (),
    "coarse": lambda card: thirds(card)["coarse"],
    "middle": lambda card: thirds(card)["middle"],
    "fine": lambda card: thirds(card)["fine"],
    "all": lambda card: tuple(range(len(card.levels))),
}


def cuts(card: Card) -> tuple[int, ...]:
    """How many levels from the top come from B in each column of the matrix: none, all, ends of groups, and cuts that
    halve the bits where most are between two columns, at most `MATRIX_COLUMNS`."""
    count = len(card.levels)
    above = [0.0, *accumulate(1.0 if card.bits is None else level.kl_bits or 0.0 for level in card.levels)]
    chosen = {0, count, *(group.levels[-1] + 1 for group in card.groups)}
    while len(chosen) < min(MATRIX_COLUMNS, count + 1):
        wide = [pair for pair in pairwise(sorted(chosen)) if pair[1] - pair[0] > 1]
        first, last = max(wide, key=lambda pair: above[pair[1]] - above[pair[0]])
        middle = (above[first] + above[last]) / 2
        chosen.add(min(range(first + 1, last), key=lambda cut: abs(above[cut] - middle)))
    return tuple(sorted(chosen))


def rows(mix: Mix, card: Card) -> tuple[Source, ...]:
    """B, and the images after it: the next seeds or the next test images, without A."""
    if "example" in mix.b:
        total = len(card.examples)
        found: Sequence[Source] = [{"example": (mix.b["example"] + step) % total} for step in range(total)]
    else:
        found = [{"seed": mix.b["seed"] + step} for step in range(MATRIX_ROWS + 1)]
    return tuple([source for source in found if source != mix.a][:MATRIX_ROWS])


def chosen(seed: int | None, example: int | None, card: Card) -> Source | None:
    """The image that an intent names; None where the model has no such test image."""
    if seed is not None:
        return {"seed": seed}
    return {"example": example} if example is not None and example < len(card.examples) else None


def name(source: Source) -> str:
    """ "test image 5", counted as in the card, or "seed 99"."""
    return f"test image {source['example']}" if "example" in source else f"seed {source['seed']}"


def to_text(source: Source) -> str:
    """ "seed-99" or "example-5", for a link."""
    return "-".join(str(part) for item in source.items() for part in item)


def from_text(text: str, card: Card) -> Source | None:
    """The source that `to_text` wrote, if this model has it."""
    kind, _, number = text.partition("-")
    if not (number.isascii() and number.isdigit()) or len(number) > 16:
        return None
    limits = {"seed": MAX_SEED + 1, "example": len(card.examples)}
    return {kind: int(number)} if int(number) < limits.get(kind, 0) else None


def _plain(source: Source) -> Source:
    if "example" in source:
        return {"example": source["example"]}
    return {"seed": source["seeds"][0] if "seeds" in source else source["seed"]}


def _new_pair(mix: Mix, card: Card, fresh_seed: FreshSeed) -> Mix:
    a, b = fresh_seed(), fresh_seed()
    if "example" in mix.a and len(card.examples) > 1:
        count = len(card.examples)
        return replace(mix, a={"example": a % count}, b={"example": (a + 1 + b % (count - 1)) % count})
    return replace(mix, a={"seed": a}, b={"seed": b})
