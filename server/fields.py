"""What all models of a recipe are made of: strictness, numbers with their limits, and unions that explain themselves.

Everything is strict: "7" and true are no integers, NaN and infinity no temperatures, and a misspelt key is refused
by name.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field

MAX_SEED = 2**53 - 1  # the largest integer that every JSON reader keeps exactly
MAX_DRAW = 2**32 - 1
MAX_TEMPERATURE = 1.5


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Draw = Annotated[int, Field(ge=0, le=MAX_DRAW)]
LevelIndex = Annotated[int, Field(ge=0)]
Temperature = Annotated[float, Field(ge=0, le=MAX_TEMPERATURE)]
JsonList = Field(strict=False)  # a strict tuple would refuse the list that JSON gives; its items stay strict


def by_type(tags: dict[type, str], message: str) -> Discriminator:
    """Tell the members of a union apart by JSON type, so that an error speaks of the one that was meant."""
    return Discriminator(
        lambda value: tags.get(type(value)),
        custom_error_type="union",
        custom_error_message=message,
    )


def by_key(keys: tuple[str, ...], message: str) -> Discriminator:
    """Tell objects apart by the first of `keys` that they have; the tag of a member is its key, as <key>."""

    def tag(value: Any) -> str | None:
        present = value if isinstance(value, dict) else type(value).model_fields if isinstance(value, BaseModel) else ()
        return next((f"<{key}>" for key in keys if key in present), None)

    return Discriminator(tag, custom_error_type="union", custom_error_message=message)
