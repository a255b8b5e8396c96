"""The tour of the Learn screen: its steps, where a person is in it, and the recipes that its controls stand for.

The text is data, in static/tour.toml. A step is about one model, the first of its list that the server has, whatever
the model of the page is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app import html, mixing, recipes
from app.client import Card, Recipe
from app.intents import Intent
from app.mixing import Mix
from app.state import Session
from app.temperature import TOP

DRAWS = 6  # images in a row
SEED = recipes.FIRST_SEED
THROWS = 50  # rows of seeds to go through
PICTURES = 12  # test images, likewise

Live = Literal["seeds", "temperature", "example", "strangers", "level", "kept", "mix", "working"]


class GoTo(Intent):
    """Another step of the tour, counted from 0."""

    do: Literal["tour_step"]
    step: Annotated[int, Field(ge=0, le=100)]


class Turn(Intent):
    """Another value of the step's control. Values with the same `gesture` are one undo step."""

    do: Literal["tour_value"]
    value: Annotated[float, Field(ge=0, le=2**32)]
    gesture: int | None = None


LearnIntent = GoTo | Turn


class Step(BaseModel):
    """One step, as tour.toml has it. `start` is a value, or of levels a share of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    text: str
    try_: str = Field(alias="try")
    models: tuple[str, ...]
    live: Live
    start: float
    opens: Literal["explore", "levels", "mix", "reconstruct", "compare"]
    figure: Literal["", "rates", "inference", "depth", "published"] = ""


class Script(BaseModel):
    """The whole of tour.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Tour:
    """Where a person is, and what the controls that were moved stand at, by step."""

    step: int = 0
    values: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Control:
    """The one handle of a step: its name, its range, where it stands, and that in words."""

    label: str
    high: float
    by: float
    value: float
    said: str


@dataclass(frozen=True)
class Row:
    """Images that one recipe makes, and what they are; without a name, their seeds tell."""

    caption: str
    recipe: Recipe

    def of(self, index: int, seed: int) -> str:
        """The caption of one of them."""
        if not self.caption:
            return f"seed {seed}"
        return self.caption if self.recipe["n"] == 1 else f"{self.caption} {index + 1}"


@cache
def load() -> tuple[Step, ...]:
    """The steps, read once."""
    text = files("app").joinpath("static", "tour.toml").read_text(encoding="utf-8")
    return Script.model_validate(tomllib.loads(text)).steps


def now(session: Session) -> Tour:
    found: Tour = session.histories["learn"].present
    return found


def apply(session: Session, intent: Intent, steps: int) -> Session:
    """One intent, in a tour of so many steps."""
    tour = now(session)
    match intent:
        case GoTo() if intent.step < steps:
            return session.pushed("learn", replace(tour, step=intent.step))
        case Turn():
            values = {**tour.values, tour.step: intent.value}
            return session.pushed("learn", replace(tour, values=values), intent.gesture)
        case _:
            return session


def to_query(tour: Tour) -> dict[str, str]:
    """The step, counted as people count, and its value."""
    value = tour.values.get(tour.step)
    return {"step": str(tour.step + 1)} | ({} if value is None else {"value": f"{value:g}"})


def from_query(query: Mapping[str, str], steps: int) -> Tour:
    """What `to_query` wrote; what makes no sense there is left out."""
    step, value = query.get("step", ""), query.get("value", "")
    if not (step.isascii() and step.isdigit() and len(step) < 4 and 1 <= int(step) <= steps):
        return Tour()
    known = value.replace(".", "", 1)
    values = {int(step) - 1: float(value)} if known.isascii() and known.isdigit() and len(known) < 9 else {}
    return Tour(int(step) - 1, values)


def model(step: Step, cards: Mapping[str, Card]) -> Card | None:
    """The model of a step: the first of its list that is there."""
    return next((cards[name] for name in step.models if name in cards), None)


def control(step: Step, card: Card, value: float | None) -> Control:
    """The handle of a step; a value that was never set, or does not fit the model, becomes one that does."""
    count = len(card.levels)
    label, high, by = {
        "seeds": ("Other seeds", float(THROWS), 1.0),
        "temperature": ("Temperature T", TOP, 0.05),
        "example": ("Test image", float(min(PICTURES, len(card.examples)) - 1), 1.0),
        "strangers": ("Levels from B", float(count), 1.0),
        "level": ("Level drawn again", float(count - 1), 1.0),
        "kept": ("Levels kept", float(count), 1.0),
        "mix": ("Levels from B", float(count), 1.0),
        "working": ("Levels that draw", float(count), 1.0),
    }[step.live]
    if value is None:
        value = step.start * high if by == 1.0 else step.start
    value = min(max(round(value / by) * by, 0.0), high)
    return Control(label, high, by, round(value, 2), _said(step.live, card, round(value, 2)))


def rows(step: Step, card: Card, control: Control) -> list[Row]:
    """What the server is asked for; the one that the step is about is the first."""
    count, k = len(card.levels), round(control.value)
    match step.live:
        case "seeds":
            return [Row("", _drawn(card, seed=SEED + DRAWS * k))]
        case "temperature":
            return [Row("", recipes.with_temperature(_drawn(card), [control.value] * count))]
        case "working":
            return [Row("", recipes.with_temperature(_drawn(card), [1.0] * k + [0.0] * (count - k)))]
        case "example":
            return [Row("reconstruction", _encoded(card, k, 1))]
        case "kept":
            return [Row("draw", _kept(card, k))]
        case "level":
            return [Row("draw", _again(card, k))]
        case _:
            return _mixed(card, k, "latent" if step.live == "strangers" else "noise")


def example(step: Step, control: Control) -> int | None:
    """The test image that is shown beside the rows, if the step is about one."""
    return {"example": round(control.value), "kept": 0}.get(step.live)


def address(step: Step, card: Card, control: Control, token: str) -> dict[str, str]:
    """The link that opens the step on its screen. `token` is the recipe of its first row."""
    parts = {"model": card.id, "screen": step.opens}
    if step.opens == "levels":  # which draws the levels of one image again
        one = recipes.to_token(_drawn(card, n=1))
        return {**parts, "level": str(round(control.value)), "r": one}
    if step.opens == "mix":
        spaces = "latent" if step.live == "strangers" else "noise"
        parts |= {"b": mixing.to_text({"seed": SEED + 1}), "spaces": spaces}
    return {**parts, "r": token}


def _said(live: Live, card: Card, value: float) -> str:
    """What is fixed and what moves, at this value."""
    k, count = round(value), len(card.levels)
    at = f" ({html.group_name(card.levels[min(k, count - 1)].group)})"
    every = "level" if count == 1 else "levels"
    return {
        "seeds": f"Seeds {SEED + DRAWS * k} to {SEED + DRAWS * k + DRAWS - 1}.",
        "temperature": f"T = {value:.2f} at every level. The same six seeds.",
        "example": f"Test image {k}, and what the model makes of its latents.",
        "strangers": f"The first {k} of {count} levels were drawn for B, the others for A, and neither adapts.",
        "level": f"Only level {k} of 0 to {count - 1}{at} is drawn again. Levels above stay, those below adapt.",
        "kept": f"The first {k} of {count} {every} are the image’s; the model draws the others, six times.",
        "mix": f"The first {k} of {count} levels come from B. Those below have the dice of A, and adapt.",
        "working": f"The first {k} of {count} levels draw at T = 1; the others take their expected value, T = 0.",
    }[live]


def _drawn(card: Card, seed: int = SEED, n: int = DRAWS) -> Recipe:
    return {**recipes.first(card), "source": {"seed": seed}, "n": n, "temperature": [1.0] * len(card.levels)}


def _encoded(card: Card, index: int, n: int) -> Recipe:
    return {**_drawn(card, n=n), "source": {"example": index, "seed": 0}}


def _kept(card: Card, kept: int) -> Recipe:
    """A test image with its first levels, and the others drawn with a seed each."""
    rest = list(range(kept, len(card.levels)))
    edit = {"op": "resample", "levels": rest, "draw": 0, "mode": "sample"}
    return {**_encoded(card, 0, DRAWS), "edits": [edit] if rest else []}


def _again(card: Card, level: int) -> Recipe:
    """Six seeds, with the noise of the first at all levels but one."""
    others = [other.index for other in card.levels if other.index != level]
    edit = {"op": "swap", "levels": others, "source": {"seed": SEED}, "space": "noise"}
    return {**_drawn(card), "edits": [edit] if others else []}


def _mixed(card: Card, cut: int, space: mixing.Space) -> list[Row]:
    mix = Mix({"seed": SEED}, {"seed": SEED + 1}, tuple(range(cut)), (1.0,) * len(card.levels))
    between = Row(f"{cut} levels from B", mixing.mixed(mix, space, len(card.levels)))
    ends = [Row(f"{letter}: {mixing.name(of)}", mixing.alone(mix, of)) for letter, of in (("A", mix.a), ("B", mix.b))]
    return [between, *ends]
