"""What a person may want: the messages from the page, checked before anything believes them.

The page sends a list, its outbox: every intent carries a sequence number, stays in the outbox until an answer with
that number comes back, and is applied once. So nothing is lost when one request is under way, and in a drag only
the last value travels.

Here are the intents that every screen has. Those of one screen stand beside what it makes of them (`exploring`,
`laddering`, `mixing`, `reconstructing`); app/screens joins them all.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.recipes import MAX_SEED

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
    name: str


class ChooseTheme(Intent):
    """The page has switched already; plots are drawn in its colours."""

    do: Literal["theme"]
    name: Literal["light", "dark"]


class SelectLevel(Intent):
    do: Literal["level"]
    level: LevelIndex


class NewSeed(Intent):
    """Any other seed; on the Mix screen, any other pair; on Reconstruct, any other test image."""

    do: Literal["new_seed"]


class Upload(Intent):
    """An image of one's own, for the screen that is shown: a file of at most 8 MiB, in base64."""

    do: Literal["upload"]
    media_type: Literal["image/png", "image/jpeg", "image/webp"]
    data: Annotated[str, Field(max_length=12 * 2**20)]


CommonIntent = Retry | Undo | Redo | ChooseModel | ChooseScreen | ChooseTheme | SelectLevel | NewSeed | Upload
