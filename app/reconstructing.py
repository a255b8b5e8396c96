"""An image and how many of its levels are kept: the state of the Reconstruct screen, and its intents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from app.client import Card, Recipe
from app.intents import Intent, NewSeed
from app.state import FreshSeed, Session

Others = Literal["mean", "sample"]


class PickExample(Intent):
    """Reconstruct another test image."""

    do: Literal["pick"]
    example: Annotated[int, Field(ge=0)]


class KeepLevels(Intent):
    """Keep the first levels. Values with the same `gesture` are one undo step."""

    do: Literal["kept"]
    kept: Annotated[int, Field(ge=0)]
    gesture: int | None = None


class ChooseOthers(Intent):
    """What the levels that are not kept do."""

    do: Literal["others"]
    others: Others


ReconstructIntent = PickExample | KeepLevels | ChooseOthers


@dataclass(frozen=True)
class Source:
    """Test image `example`, or `image`, a PNG of the model's size in base64."""

    example: int | None = None
    image: str | None = None

    @property
    def subject(self) -> dict[str, Any]:
        """What an inspection is asked of."""
        return {"image": self.image} if self.image is not None else {"example": self.example}

    @property
    def name(self) -> str:
        return "your image" if self.image is not None else f"test image {self.example}"


@dataclass(frozen=True)
class Reconstruction:
    """The first `kept` levels of `source`, a test image or one of one's own; the others by `others`."""

    source: Source
    kept: int
    others: Others = "mean"


def first(card: Card) -> Reconstruction:
    """The first test image, with half of the levels."""
    return Reconstruction(Source(example=0), (len(card.levels) + 1) // 2)


def now(session: Session) -> Reconstruction:
    found: Reconstruction = session.histories["reconstruct"].present
    return found


def apply(session: Session, intent: Intent, card: Card, fresh_seed: FreshSeed) -> Session:
    """One intent. An upload needs the server, which makes it the model's size."""
    shown = now(session)
    match intent:
        case PickExample():
            return _picked(session, card, intent.example)
        case NewSeed() if session.works_on == "reconstruct":
            return _picked(session, card, fresh_seed() % max(1, len(card.examples)))
        case KeepLevels():
            kept = min(intent.kept, len(card.levels))
            return session.pushed("reconstruct", replace(shown, kept=kept), intent.gesture)
        case ChooseOthers():
            return session.pushed("reconstruct", replace(shown, others=intent.others))
        case _:
            return session


def recipe(shown: Reconstruction, levels: int) -> Recipe:
    """What the screen shows, as far as it can be said without the server's answer."""
    rest = list(range(shown.kept, levels))
    edit = {"op": "resample", "levels": rest, "draw": 0, "mode": shown.others}
    return {
        "recipe_version": 1,
        "source": {**shown.source.subject, "seed": 0},
        "n": 1,
        "temperature": [1.0] * levels,
        "levels": {},
        "edits": [edit] if rest else [],
        "output": {"image": "mean"},
    }


def from_recipe(recipe: Recipe, otherwise: Reconstruction, levels: int) -> Reconstruction:
    """The reconstruction that a step's recipe stands for. What comes from elsewhere stands for `otherwise`."""
    source = Source(recipe["source"].get("example"), recipe["source"].get("image"))
    edits = recipe["edits"]
    if source == Source() or [edit["op"] for edit in edits] not in ([], ["resample"]):
        return otherwise
    if not edits:
        return Reconstruction(source, levels, otherwise.others)
    others: Others = "mean" if edits[0]["mode"] == "mean" else "sample"
    return Reconstruction(source, min(edits[0]["levels"]), others)


def _picked(session: Session, card: Card, example: int) -> Session:
    if example >= len(card.examples):
        return session
    return session.pushed("reconstruct", replace(now(session), source=Source(example=example)))
