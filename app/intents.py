"""What a person may want: the messages from the page, checked before anything believes them.

The page sends a list, its outbox: every intent carries a sequence number, stays in the outbox until an answer with
that number comes back, and is applied once. So nothing is lost when one request is under way, and in a drag only
the last value travels.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.laddering import Below, Rows
from app.mixing import Space
from app.recipes import MAX_SEED
from app.reconstructing import Others
from app.temperature import TOP

LevelIndex = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


class Intent(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    seq: Annotated[int, Field(ge=1)]


class Retry(Intent):
    """Ask again for what could not be had."""

    do: Literal["retry"]


class Undo(Intent):
    do: Literal["undo"]


class Redo(Intent):
    do: Literal["redo"]


class ChooseModel(Intent):
    do: Literal["model"]
    id: str


class ChooseScreen(Intent):
    do: Literal["screen"]
    name: Literal["explore", "levels", "mix", "reconstruct"]


class ChooseTab(Intent):
    """A tab of the inspector."""

    do: Literal["tab"]
    name: Literal["effect", "bits"]


class ChooseTheme(Intent):
    """The page has switched already; plots are drawn in its colours."""

    do: Literal["theme"]
    name: Literal["light", "dark"]


class SelectLevel(Intent):
    do: Literal["level"]
    level: LevelIndex


class SelectImage(Intent):
    do: Literal["image"]
    image: Annotated[int, Field(ge=0)]


class ShowGallery(Intent):
    """All images at once instead of one and its neighbours, or back."""

    do: Literal["gallery"]
    on: bool


class OpenGroup(Intent):
    """Show or hide the levels of one resolution, in models with many levels."""

    do: Literal["open"]
    group: str


class MeasureAll(Intent):
    """Measure the effect of every level of a large model, which is too much to do unasked."""

    do: Literal["measure"]


class SetTemperatures(Intent):
    """The whole rail as one value. Values with the same `gesture` are one undo step."""

    do: Literal["temperature"]
    values: Annotated[list[Annotated[float, Field(ge=0, le=TOP)]], Field(max_length=1000)]
    gesture: int


class UsePreset(Intent):
    do: Literal["preset"]
    name: Literal["flat", "linear", "mean_below", "cosine"]


class LockLevel(Intent):
    """Lock a level, or unlock it."""

    do: Literal["lock"]
    level: LevelIndex


class DrawLevel(Intent):
    """Draw one level again; without a level, the selected one."""

    do: Literal["draw"]
    level: LevelIndex | None = None


class KeepDraw(Intent):
    """Keep a draw from a strip: of the selected level alone, or of everything below it."""

    do: Literal["keep"]
    draw: Annotated[int, Field(ge=0, lt=2**32)]
    below: bool


class SetSeed(Intent):
    do: Literal["seed"]
    seed: Seed


class NewSeed(Intent):
    """Any other seed; on the Mix screen, any other pair; on Reconstruct, any other test image."""

    do: Literal["new_seed"]


class TurnPage(Intent):
    """The next or the previous n seeds."""

    do: Literal["page"]
    by: Literal[-1, 1]


class SetImages(Intent):
    do: Literal["images"]
    n: Annotated[int, Field(ge=1)]


class SetOutput(Intent):
    do: Literal["output"]
    image: Literal["mean", "sample"]


class DropEdits(Intent):
    """Take nothing from other images any more."""

    do: Literal["drop_edits"]


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
    spaces: Literal["noise", "latent", "both"]


class MixExplore(Intent):
    """Open one of the two mixes on the Explore screen."""

    do: Literal["mix_explore"]
    space: Space


class PickExample(Intent):
    """Reconstruct another test image."""

    do: Literal["pick"]
    example: Annotated[int, Field(ge=0)]


class Upload(Intent):
    """Reconstruct an image of one's own: a file of at most 8 MiB, in base64."""

    do: Literal["upload"]
    media_type: Literal["image/png", "image/jpeg", "image/webp"]
    data: Annotated[str, Field(max_length=12 * 2**20)]


class KeepLevels(Intent):
    """Keep the first levels. Values with the same `gesture` are one undo step."""

    do: Literal["kept"]
    kept: Annotated[int, Field(ge=0)]
    gesture: int | None = None


class ChooseOthers(Intent):
    """What the levels that are not kept do."""

    do: Literal["others"]
    others: Others


AnyIntent = Annotated[
    Retry
    | Undo
    | Redo
    | ChooseModel
    | ChooseScreen
    | ChooseTab
    | ChooseTheme
    | SelectLevel
    | SelectImage
    | ShowGallery
    | OpenGroup
    | MeasureAll
    | SetTemperatures
    | UsePreset
    | LockLevel
    | DrawLevel
    | KeepDraw
    | SetSeed
    | NewSeed
    | TurnPage
    | SetImages
    | SetOutput
    | DropEdits
    | ShowLadder
    | DrawLadder
    | OpenCell
    | MixLevel
    | MixCut
    | MixQuick
    | MixSource
    | MixSwap
    | MixSpaces
    | MixExplore
    | PickExample
    | Upload
    | KeepLevels
    | ChooseOthers,
    Field(discriminator="do"),
]
