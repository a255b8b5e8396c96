"""What may be sent as a job: a large sample, an inspection, or a morph."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from server.fields import Strict
from server.inspect_request import Inspect
from server.morph import Morph
from server.recipe import Recipe

MediaType = Literal["application/json", "image/png", "application/x-npz"]


class SampleJob(Strict):
    """The images of one recipe, in the form that `sample` would answer with; n may be larger than there."""

    kind: Literal["sample"]
    model: str
    recipe: Recipe
    media_type: MediaType = "application/json"


class InspectJob(Strict):
    """An inspection, in the form that `inspect` would answer with; it may take more images than there."""

    kind: Literal["inspect"]
    model: str
    inspect: Inspect
    media_type: MediaType = "application/json"


class MorphJob(Morph):
    """A film from one recipe to the next."""

    kind: Literal["morph"]
    model: str


AnyJob = SampleJob | InspectJob | MorphJob


def _kind(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return f"<{kind}>" if kind in ("sample", "inspect", "morph") else None


JobRequest = Annotated[
    Annotated[SampleJob, Tag("<sample>")]
    | Annotated[InspectJob, Tag("<inspect>")]
    | Annotated[MorphJob, Tag("<morph>")],
    Discriminator(
        _kind,
        custom_error_type="union",
        custom_error_message='Input should have "kind": "sample", "inspect" or "morph"',
    ),
]
