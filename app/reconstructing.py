"""An image and how many of its levels are kept: the state of the Reconstruct screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from app.client import Card, Recipe

Others = Literal["mean", "sample"]


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


def recipe(now: Reconstruction, levels: int) -> Recipe:
    """What the screen shows, as far as it can be said without the server's answer."""
    rest = list(range(now.kept, levels))
    edit = {"op": "resample", "levels": rest, "draw": 0, "mode": now.others}
    return {
        "recipe_version": 1,
        "source": {**now.source.subject, "seed": 0},
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
