"""An image that is edited, and what the next change is made with: the state of the Edit screen, and its intents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import Field

from app import changing, mixing, painting, recipes
from app.changing import MAX_EDITS, Below, Editing
from app.client import Card
from app.intents import Intent, LevelIndex, NewSeed, Seed
from app.mixing import Source, Space
from app.state import FreshSeed, Session
from app.temperature import TOP

ROOMY = 4  # cells along a side, of which the middle leaves something around it
FULL = f"A recipe holds {MAX_EDITS} edits, and this change needs more. Remove one first."


class EditLevel(Intent):
    """Another level's grid, with the same place painted."""

    do: Literal["edit_level"]
    level: LevelIndex


class Paint(Intent):
    """All cells of a level after a stroke, row by row."""

    do: Literal["paint"]
    level: LevelIndex
    cells: Annotated[str, Field(pattern="^[01]+$", max_length=painting.MAX_MASK**2)]


class PaintAll(Intent):
    do: Literal["paint_all"]
    what: Literal["all", "none", "invert"]


class EditTools(Intent):
    """Another brush, other noise or latents from the other image, another temperature, for the next change."""

    do: Literal["edit_tools"]
    brush: Annotated[int, Field(ge=1, le=painting.MAX_MASK)] | None = None
    space: Space | None = None
    temperature: Annotated[float, Field(ge=0, le=TOP)] | None = None


class EditImage(Intent):
    """Edit another image: a seed, a test image, or the one that Explore shows."""

    do: Literal["edit_image"]
    seed: Seed | None = None
    example: Annotated[int, Field(ge=0)] | None = None
    explore: bool = False


class EditOther(Intent):
    """Swap from another image: a seed or a test image."""

    do: Literal["edit_other"]
    seed: Seed | None = None
    example: Annotated[int, Field(ge=0)] | None = None


class EditBelow(Intent):
    """What the levels below an edit do."""

    do: Literal["edit_below"]
    below: Below


class ChangeCells(Intent):
    """Do this to the painted cells."""

    do: Literal["change"]
    how: Literal["again", "swap", "cool"]


class DropChange(Intent):
    """Take one of the changes away."""

    do: Literal["drop_change"]
    index: Annotated[int, Field(ge=0)]


class EditExplore(Intent):
    """Open the edited image in Explore."""

    do: Literal["edit_explore"]


EditIntent = (
    EditLevel
    | Paint
    | PaintAll
    | EditTools
    | EditImage
    | EditOther
    | EditBelow
    | ChangeCells
    | DropChange
    | EditExplore
)


@dataclass(frozen=True)
class Tools:
    """What the next change would be made with. None of it changes an image yet."""

    brush: int = 1
    source: Source = field(default_factory=lambda: {"seed": recipes.FIRST_SEED + 1})
    space: Space = "noise"
    temperature: float = 0.3


def first(card: Card) -> Editing:
    """The image that Explore opens with; the busiest of the coarse levels that have a grid, its middle painted."""
    spread = [level for level in card.levels if min(level.height, level.width) >= ROOMY]
    spread = spread or [level for level in card.levels if painting.has_grid(level)] or list(card.levels)
    coarse = [level for level in spread if level.index in mixing.QUICK["coarse"](card)] or spread[:1]
    busiest = max(coarse, key=lambda level: level.kl_bits or 0.0)
    return Editing(changing.start({"seed": recipes.FIRST_SEED}, card), (), busiest.index, painting.middle(busiest))


def now(session: Session) -> Editing:
    found: Editing = session.histories["edit"].present
    return found


def tools(session: Session) -> Tools:
    found: Tools = session.views["edit"]
    return found


def apply(session: Session, intent: Intent, card: Card, fresh_seed: FreshSeed) -> Session:
    """One intent. What does not fit the model or its grid changes nothing."""
    shown = now(session)
    match intent:
        case EditLevel() if intent.level < len(card.levels):
            cells = painting.moved(shown.cells, card.levels[shown.level], card.levels[intent.level])
            return session.pushed("edit", replace(shown, level=intent.level, cells=cells))
        case Paint() if intent.level == shown.level and painting.fits(intent.cells, card.levels[shown.level]):
            return session.pushed("edit", replace(shown, cells=intent.cells))
        case PaintAll():
            return session.pushed("edit", replace(shown, cells=painting.filled(shown.cells, intent.what)))
        case EditTools():
            chosen = intent.model_dump(include={"brush", "space", "temperature"}, exclude_none=True)
            return session.with_view("edit", replace(tools(session), **chosen))
        case EditImage() if intent.explore:
            recipe = recipes.with_output(recipes.single(session.recipe, session.view.image), "mean")
            return session.pushed("edit", changing.with_recipe(shown, recipe))
        case EditImage() if (source := mixing.chosen(intent.seed, intent.example, card)) is not None:
            return session.pushed("edit", changing.with_source(shown, card, source))
        case NewSeed() if session.works_on == "edit":
            return session.pushed("edit", changing.with_source(shown, card, _another(shown, card, fresh_seed())))
        case EditOther() if (source := mixing.chosen(intent.seed, intent.example, card)) is not None:
            return session.with_view("edit", replace(tools(session), source=source))
        case EditBelow():
            return session.pushed("edit", changing.with_below(shown, card, intent.below))
        case ChangeCells() if "1" in shown.cells:
            return _fitting(session, changed(shown, card, intent.how, tools(session)))
        case DropChange():
            return session.pushed("edit", changing.removed(shown, intent.index))
        case EditExplore():
            return replace(session.changed(shown.after).seen(image=0), screen="explore")
        case _:
            return session


def changed(now: Editing, card: Card, how: Literal["again", "swap", "cool"], tools: Tools) -> Editing:
    """The painted cells changed in one of the three ways."""
    match how:
        case "again":
            return changing.drawn_again(now, card)
        case "swap":
            return changing.swapped(now, card, tools.source, space(tools, card))
        case "cool":
            return changing.cooled(now, card, tools.temperature)


def space(tools: Tools, card: Card) -> Space:
    """What the other image gives. The latents of a test image that are 0 or 1 do not tell their noise."""
    return "latent" if card.prior == "bernoulli" and "example" in tools.source else tools.space


def to_query(tools: Tools) -> dict[str, str]:
    """The tools for a link."""
    return {
        "brush": str(tools.brush),
        "other": mixing.to_text(tools.source),
        "take": tools.space,
        "cool": f"{tools.temperature:g}",
    }


def from_query(tools: Tools, query: Mapping[str, str], card: Card) -> Tools:
    """The tools of a link; what makes no sense there is left as it was."""
    if (source := mixing.from_text(query.get("other", ""), card)) is not None:
        tools = replace(tools, source=source)
    if query.get("take") in ("noise", "latent"):
        tools = replace(tools, space=query["take"])  # type: ignore[arg-type]
    if re.fullmatch("[0-9]{1,3}", query.get("brush", "")) and 0 < int(query["brush"]) <= painting.MAX_MASK:
        tools = replace(tools, brush=int(query["brush"]))
    if re.fullmatch(r"[01](\.[0-9]{1,2})?", query.get("cool", "")) and float(query["cool"]) <= TOP:
        tools = replace(tools, temperature=float(query["cool"]))
    return tools


def _fitting(session: Session, changed: Editing) -> Session:
    """The session with a change, or with a note where a recipe does not hold that many."""
    if len(changed.after["edits"]) > MAX_EDITS:
        return replace(session, note=FULL)
    return session.pushed("edit", changed)


def _another(now: Editing, card: Card, number: int) -> Source:
    """A seed, or a test image where one is edited."""
    return {"example": number % len(card.examples)} if "example" in now.before["source"] else {"seed": number}
