"""What the Levels screen asks for: which rows, how many draws, and what the levels below do; and its intents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Annotated, Any, Literal

from pydantic import Field

from app.client import Card, Level, Recipe
from app.intents import Intent, LevelIndex
from app.measure import LARGE
from app.state import MANY_LEVELS, FreshSeed, Session

Rows = Literal["levels", "groups"]
Below = Literal["mean", "noise", "resample"]

INACTIVE = 0.05  # bits
COLUMNS = 5  # draws that are shown
DRAWS = 16  # draws that are measured, where that is not too much
IMAGES = 600  # that is too much
HEAD, ROW, HIDDEN, SUMMARY, FITS = 30, 62, 26, 160, 580  # heights on the screen


class ShowLadder(Intent):
    """Another choice of rows, of what the levels below do, or of whether inactive levels are hidden."""

    do: Literal["ladder_view"]
    rows: Rows | None = None
    below: Below | None = None
    hidden: bool | None = None


class DrawLadder(Intent):
    """The next draws in every row."""

    do: Literal["ladder_again"]


class OpenCell(Intent):
    """Open the cell of this row and draw on the Explore screen."""

    do: Literal["cell"]
    levels: Annotated[list[LevelIndex], Field(min_length=1, max_length=1000)]
    draw: Annotated[int, Field(ge=0, lt=2**32)]


LevelsIntent = ShowLadder | DrawLadder | OpenCell


@dataclass(frozen=True)
class LadderView:
    """The choices of the Levels screen. `page` counts how often all of it was drawn again."""

    rows: Rows = "levels"
    below: Below = "noise"
    page: int = 0
    hidden: bool = True  # inactive levels are


@dataclass(frozen=True)
class Part:
    """A run of levels of one resolution in one column: rows of levels, and the inactive ones that are hidden."""

    group: str
    rows: tuple[tuple[int, ...], ...]
    hidden: tuple[int, ...] = ()
    continued: bool = False

    @property
    def height(self) -> int:
        return HEAD + ROW * len(self.rows) + HIDDEN * bool(self.hidden)


def first_view(card: Card) -> LadderView:
    """A deep model opens with a row a resolution."""
    return LadderView(rows="groups" if len(card.levels) > MANY_LEVELS and len(card.groups) > 1 else "levels")


def view(session: Session) -> LadderView:
    found: LadderView = session.views["levels"]
    return found


def apply(session: Session, intent: Intent, card: Card, fresh_seed: FreshSeed) -> Session:
    """One intent. Opening a cell needs the server, which knows its recipe."""
    now = view(session)
    match intent:
        case ShowLadder():
            chosen = intent.model_dump(include={"rows", "below", "hidden"}, exclude_none=True)
            return session.with_view("levels", replace(now, **chosen))
        case DrawLadder():
            return session.with_view("levels", replace(now, page=now.page + 1))
        case _:
            return session


def inactive(level: Level) -> bool:
    """Whether a level is known to carry next to nothing."""
    return level.kl_bits is not None and level.kl_bits < INACTIVE


def below(card: Card, ladder: LadderView, recipe: Recipe) -> Below:
    """What the levels below do: a latent that is 0 or 1 does not say which noise made it, so a test image has none."""
    return "mean" if ladder.below == "noise" and not has_noise(card, recipe) else ladder.below


def has_noise(card: Card, recipe: Recipe) -> bool:
    return card.prior != "bernoulli" or "seed" in recipe["source"] and len(recipe["source"]) == 1


def parts(card: Card, ladder: LadderView) -> list[Part]:
    """Every resolution with its rows: the resolution itself, or those of its levels that are not hidden."""
    if ladder.rows == "groups":
        return [Part(group.name, (group.levels,)) for group in card.groups]
    found = []
    for group in card.groups:
        hidden = tuple(level for level in group.levels if ladder.hidden and inactive(card.levels[level]))
        rows = tuple((level,) for level in group.levels if level not in hidden)
        found.append(Part(group.name, rows, hidden))
    return found


def columns(parts: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    """The parts in two columns of like height, with room for the summary in the second; one may go on there."""
    pieces = [piece for part in parts for piece in _pieces(part)]
    tops = [0, *accumulate(ROW if piece.continued else piece.height for piece in pieces)]

    def cost(cut: int) -> tuple[bool, int]:
        head = HEAD if cut < len(pieces) and pieces[cut].continued else 0
        height = max(tops[cut], tops[-1] - tops[cut] + head + SUMMARY)
        return head > 0 or height > FITS, height  # a part stays whole where all of it is seen without scrolling

    best = min(range(1, len(pieces) + 1), key=cost)
    return _joined(pieces[:best]), _joined(pieces[best:])


def draws(rows: int) -> int:
    """How many draws of each of so many rows are measured."""
    return min(DRAWS, max(COLUMNS, IMAGES // max(rows, 1)))


def question(card: Card, ladder: LadderView, recipe: Recipe) -> dict[str, Any]:
    """The options of the one call: the rows that are shown and, for the summary, a row a resolution after them."""
    shown = [list(row) for part in parts(card, ladder) for row in part.rows]
    rows = shown + [list(group.levels) for group in card.groups if list(group.levels) not in shown]
    return {
        "rows": rows,
        "draws": draws(len(rows)) if card.latents <= LARGE else COLUMNS,
        "show": COLUMNS,
        "first_draw": _unused(recipe) + ladder.page * COLUMNS,
        "below": below(card, ladder, recipe),
    }


def to_query(ladder: LadderView) -> dict[str, str]:
    """The choices for a link."""
    return {
        "rows": ladder.rows,
        "below": ladder.below,
        "draws": str(ladder.page),
        "inactive": "hidden" if ladder.hidden else "shown",
    }


def from_query(ladder: LadderView, query: Mapping[str, str]) -> LadderView:
    """The choices of a link; what makes no sense there is left as it was."""
    if query.get("rows") in ("levels", "groups"):
        ladder = replace(ladder, rows=query["rows"])  # type: ignore[arg-type]
    if query.get("below") in ("mean", "noise", "resample"):
        ladder = replace(ladder, below=query["below"])  # type: ignore[arg-type]
    if re.fullmatch("[0-9]{1,6}", query.get("draws", "")):
        ladder = replace(ladder, page=int(query["draws"]))
    return replace(ladder, hidden=query.get("inactive", "hidden") != "shown")


def _unused(recipe: Recipe) -> int:
    """The first draw that nothing in the recipe has, so that every column differs from the image."""
    used = [change.get("draw", 0) for change in recipe["levels"].values()]
    return 1 + max([0, *used, *(edit.get("draw", 0) for edit in recipe["edits"])])


def _pieces(part: Part) -> list[Part]:
    """The part row by row; what is hidden stays at its top."""
    first, *rest = part.rows or ((),)
    top = Part(part.group, (first,) if first else (), part.hidden)
    return [top, *(Part(part.group, (row,), continued=True) for row in rest)]


def _joined(pieces: Sequence[Part]) -> list[Part]:
    joined: list[Part] = []
    for piece in pieces:
        if joined and piece.continued:
            last = joined[-1]
            joined[-1] = Part(last.group, last.rows + piece.rows, last.hidden, last.continued)
        else:
            joined.append(piece)
    return joined
