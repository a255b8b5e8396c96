"""What the edits of a recipe mean for one model: levels as numbers, other images that exist."""

from __future__ import annotations

from collections.abc import Container
from typing import TypeVar

from model_zoo.manifest import Manifest
from server.edits import (
    Interpolate,
    Keep,
    Resample,
    ResolvedEdit,
    ResolvedInterpolate,
    ResolvedKeep,
    ResolvedResample,
    ResolvedSwap,
    Swap,
)
from server.images import ImageError, from_text, to_text
from server.recipe import Fault, Recipe, fault
from server.sources import Encoded, ExampleImage, OwnImage, SeedSource, SeedsSource

AnyEncoded = TypeVar("AnyEncoded", bound=Encoded)


def resolve_edits(
    recipe: Recipe, n: int, manifest: Manifest, stored: Container[str], faults: list[Fault]
) -> tuple[ResolvedEdit, ...]:
    """The edits for a recipe of `n` images. What is wrong with them is added to `faults`."""
    return tuple(_edit(recipe, index, n, manifest, stored, faults) for index in range(len(recipe.edits)))


def select(selector: tuple[int, ...] | str, manifest: Manifest) -> tuple[int, ...]:
    """Level indices, sorted and without repetition. Raises ValueError saying what the model does have."""
    groups = manifest.groups
    if not isinstance(selector, str):
        for index in selector:
            if index >= len(manifest.levels):
                raise ValueError(f"Level {index} does not exist; this model has levels 0 to {len(manifest.levels) - 1}")
        return tuple(sorted(set(selector)))
    ends = selector.split("..")
    if len(ends) > 2 or any(end not in groups for end in ends):
        widest = f"{next(iter(groups))}..{list(groups)[-1]}"
        raise ValueError(f"No such resolution; this model has {', '.join(groups)}, and ranges such as {widest}")
    names = list(groups)
    first, last = names.index(ends[0]), names.index(ends[-1])
    if first > last:
        raise ValueError("A range goes from the coarser to the finer resolution")
    return tuple(sorted(index for name in names[first : last + 1] for index in groups[name]))


def settle_encoded(
    source: AnyEncoded, manifest: Manifest, stored: Container[str], faults: list[Fault], *location: str | int
) -> AnyEncoded:
    """An encoded source as the model has it: a file of one's own becomes the canonical PNG of the model's size."""
    if isinstance(source, OwnImage):
        try:
            return source.model_copy(update={"image": to_text(from_text(source.image, manifest.image))})
        except ImageError as error:
            faults.append(fault(str(error), *location, "image"))
    elif isinstance(source, ExampleImage):
        count = len(manifest.examples)
        if source.example >= count:
            faults.append(fault(f"This model has {count} examples, counted from 0", *location, "example"))
    elif source.latents not in stored:
        detail = "This model has no such latents, or the server has forgotten them; encode the image again"
        faults.append(fault(detail, *location, "latents"))
    return source


def _edit(
    recipe: Recipe, index: int, n: int, manifest: Manifest, stored: Container[str], faults: list[Fault]
) -> ResolvedEdit:
    edit = recipe.edits[index]
    levels: tuple[int, ...] = ()
    try:
        levels = select(edit.levels, manifest)
    except ValueError as error:
        faults.append(fault(str(error), "edits", index, "levels"))
    if isinstance(edit, Keep):
        if recipe.source is None or isinstance(recipe.source, SeedSource | SeedsSource):
            faults.append(fault("keep needs a source that is encoded, such as an example", "edits", index))
        return ResolvedKeep(levels=levels, mask=edit.mask)
    if isinstance(edit, Resample):
        cooled = None if edit.temperature is None else edit.temperature + 0.0  # -0.0 and 0.0 are one recipe
        return ResolvedResample(levels=levels, draw=edit.draw, mode=edit.mode, temperature=cooled, mask=edit.mask)
    source = _source(edit, index, n, manifest, stored, faults)
    if isinstance(edit, Interpolate):
        return ResolvedInterpolate(levels=levels, source=source, alpha=edit.alpha + 0.0, space=edit.space)
    return ResolvedSwap(levels=levels, source=source, space=edit.space, mask=edit.mask)


def _source(
    edit: Swap | Interpolate, index: int, n: int, manifest: Manifest, stored: Container[str], faults: list[Fault]
) -> SeedSource | SeedsSource | Encoded:
    source = edit.source
    if isinstance(source, SeedSource):
        return source
    if isinstance(source, SeedsSource):
        if len(source.seeds) not in (1, n):
            faults.append(fault(f"{len(source.seeds)} seeds for {n} images", "edits", index, "source", "seeds"))
        return SeedSource(seed=source.seeds[0]) if len(set(source.seeds)) == 1 else source
    return settle_encoded(source, manifest, stored, faults, "edits", index, "source")
