"""What a recipe means for one model: every seed, one temperature a level, and levels as numbers.

A resolved recipe is itself a recipe, and resolving it again changes nothing; so it is what the server returns,
what a PNG carries, and what the id and the permalink are made from.
"""

from __future__ import annotations

from collections.abc import Callable

from model_zoo.manifest import Manifest
from server.recipe import (
    MAX_SEED,
    ExampleImage,
    ExampleSource,
    Fault,
    Keep,
    LevelChange,
    Output,
    Recipe,
    RecipeError,
    Schedule,
    SeedSource,
    SeedsSource,
    Swap,
    pointer,
)

Reference = SeedSource | ExampleImage  # one image, as an edit refers to it

MAX_PIXELS = 1 << 26  # of all PNGs of an answer together, after scaling
MAX_ELEMENTS = 1 << 26  # of all arrays that an answer includes: 256 MiB
NO_NOISE = (
    "The latents of this model are 0 or 1, and many values of the noise give the same one: an example does not say "
    'which was its own. Use space "latent" for an example; a seed has its noise and can be taken in either space'
)


class ResolvedSwap(Swap):
    levels: tuple[int, ...]


class ResolvedKeep(Keep):
    levels: tuple[int, ...]


class Resolved(Recipe):
    """A recipe without choices left to make: n images, their seeds, L temperatures, levels by number."""

    source: SeedsSource | ExampleSource
    n: int
    temperature: tuple[float, ...]
    levels: dict[str, LevelChange]
    edits: tuple[ResolvedSwap | ResolvedKeep, ...]
    output: Output

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each of the n images."""
        if isinstance(self.source, SeedsSource):
            return self.source.seeds
        return tuple(self.source.seed + i for i in range(self.n))

    def change(self, level: int) -> LevelChange:
        return self.levels.get(str(level), LevelChange())

    def image(self, index: int) -> Resolved:
        """The recipe of image `index` alone, as its PNG carries it."""
        seed, source = self.seeds[index], self.source
        encoded = isinstance(source, ExampleSource)
        edits = tuple(
            edit.model_copy(update={"source": reference(edit, index)}) if isinstance(edit, Swap) else edit
            for edit in self.edits
        )
        return self.model_copy(
            update={
                "n": 1,
                "source": source.model_copy(update={"seed": seed}) if encoded else SeedsSource(seeds=(seed,)),
                "edits": edits,
                "output": self.output.model_copy(update={"layout": "images", "include": ()}),
            }
        )

    def sheet(self) -> Resolved:
        """The recipe of the contact sheet of all images."""
        return self.model_copy(update={"output": self.output.model_copy(update={"layout": "grid", "include": ()})})


def reference(edit: Swap, index: int) -> Reference:
    """The image that an edit takes levels from, for image `index` of the recipe."""
    if isinstance(edit.source, SeedsSource):
        return SeedSource(seed=edit.source.seeds[index])
    return edit.source


def resolve(recipe: Recipe, manifest: Manifest, *, fresh_seed: Callable[[], int], max_images: int) -> Resolved:
    """Settle every choice of `recipe` for the model of `manifest`. `fresh_seed` is asked when there is no source.

    Raises RecipeError with every fault: a level or example that does not exist, a wrong number of temperatures or
    seeds, more images or pixels than allowed, `keep` without a source that was encoded, the noise of an example
    where latents are discrete.
    """
    faults: list[Fault] = []
    source, n = _images(recipe, manifest, fresh_seed, max_images, faults)
    temperature = _temperatures(recipe, manifest, faults)
    levels = _changes(recipe, manifest, faults)
    edits = tuple(_edit(recipe, i, n, manifest, faults) for i in range(len(recipe.edits)))
    faults.extend(_too_large(recipe.output, n, manifest))
    if not faults:
        resolved = Resolved(
            source=source, n=n, temperature=temperature, levels=levels, edits=edits, output=recipe.output
        )
        if len(references(resolved)) > max_images:
            faults.append(_fault(f"The edits take levels from more than {max_images} other images", "edits"))
    if faults:
        raise RecipeError(faults)
    return resolved


def references(recipe: Resolved) -> list[tuple[Reference, str]]:
    """The distinct images that the edits take levels from, each with the space: those that need a pass of their own.

    A seed in noise space needs none: its noise is known without running the model.
    """
    pairs = [
        (reference(edit, i), edit.space) for edit in recipe.edits if isinstance(edit, Swap) for i in range(recipe.n)
    ]
    return [*dict.fromkeys(pair for pair in pairs if pair[1] == "latent" or isinstance(pair[0], ExampleImage))]


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
        raise ValueError(
            f"No such resolution; this model has {', '.join(groups)}, and ranges such as {_widest(groups)}"
        )
    names = list(groups)
    first, last = names.index(ends[0]), names.index(ends[-1])
    if first > last:
        raise ValueError("A range goes from the coarser to the finer resolution")
    return tuple(sorted(index for name in names[first : last + 1] for index in groups[name]))


def _images(
    recipe: Recipe, manifest: Manifest, fresh_seed: Callable[[], int], max_images: int, faults: list[Fault]
) -> tuple[SeedsSource | ExampleSource, int]:
    source = recipe.source or SeedSource(seed=fresh_seed())
    seeds = source.seeds if isinstance(source, SeedsSource) else None
    n = recipe.n or (len(seeds) if seeds else 1)
    if n > max_images:
        faults.append(_fault(f"At most {max_images} images a request", "n" if recipe.n else "source"))
        return SeedsSource(seeds=(0,)), 1
    if seeds is not None and len(seeds) != n:
        faults.append(_fault(f"n is {n}, but there are {len(seeds)} seeds", "n"))
    if isinstance(source, ExampleImage):
        faults.extend(_no_example(source, manifest, "source", "example"))
    if not isinstance(source, SeedsSource) and source.seed + n - 1 > MAX_SEED:
        faults.append(_fault(f"The last of the {n} seeds would be above {MAX_SEED}", "source", "seed"))
        return SeedsSource(seeds=(0,)), 1
    if isinstance(source, SeedSource):
        return SeedsSource(seeds=tuple(source.seed + i for i in range(n))), n
    return source, n


def _temperatures(recipe: Recipe, manifest: Manifest, faults: list[Fault]) -> tuple[float, ...]:
    given, count = recipe.temperature, len(manifest.levels)
    if isinstance(given, Schedule):
        last = max(count - 1, 1)
        inner = [given.start + (given.end - given.start) * index / last for index in range(1, last)]
        values = [given.start, *(round(step, 6) for step in inner), given.end][:count]
    elif isinstance(given, dict):
        for name in given:
            if name not in manifest.groups:
                detail = f"No such resolution; this model has {', '.join(manifest.groups)}"
                faults.append(_fault(detail, "temperature", name))
        values = [given.get(level.group, 1.0) for level in manifest.levels]
    elif isinstance(given, tuple):
        values = list(given)
        if len(values) != count:
            faults.append(_fault(f"{len(values)} temperatures for {count} levels", "temperature"))
    else:
        values = [given] * count
    return tuple(value + 0.0 for value in values)  # -0.0 and 0.0 are one recipe


def _changes(recipe: Recipe, manifest: Manifest, faults: list[Fault]) -> dict[str, LevelChange]:
    keys = [str(level.index) for level in manifest.levels]
    for key in recipe.levels:
        if key not in keys:
            detail = f"No such level; this model has levels 0 to {len(manifest.levels) - 1}"
            faults.append(_fault(detail, "levels", key))
    changed = {key: change for key, change in recipe.levels.items() if change != LevelChange()}
    return {key: changed[key] for key in keys if key in changed}


def _edit(recipe: Recipe, index: int, n: int, manifest: Manifest, faults: list[Fault]) -> ResolvedSwap | ResolvedKeep:
    edit = recipe.edits[index]
    levels: tuple[int, ...] = ()
    try:
        levels = select(edit.levels, manifest)
    except ValueError as error:
        faults.append(_fault(str(error), "edits", index, "levels"))
    if isinstance(edit, Keep):
        if not isinstance(recipe.source, ExampleImage):
            faults.append(_fault("keep needs a source that is encoded, such as an example", "edits", index))
        return ResolvedKeep(levels=levels)
    source = edit.source
    if isinstance(source, ExampleImage):
        faults.extend(_no_example(source, manifest, "edits", index, "source", "example"))
        if edit.space == "noise" and manifest.prior == "bernoulli":
            faults.append(_fault(NO_NOISE, "edits", index, "space"))
    if isinstance(source, SeedsSource):
        if len(source.seeds) not in (1, n):
            faults.append(_fault(f"{len(source.seeds)} seeds for {n} images", "edits", index, "source", "seeds"))
        if len(set(source.seeds)) == 1:
            source = SeedSource(seed=source.seeds[0])
    return ResolvedSwap(levels=levels, source=source, space=edit.space)


def _too_large(output: Output, n: int, manifest: Manifest) -> list[Fault]:
    faults = []
    if n * manifest.image.height * manifest.image.width * output.scale**2 > MAX_PIXELS:
        faults.append(_fault(f"All images together may have {MAX_PIXELS} pixels", "output", "scale"))
    if n * manifest.latents * len(output.include) > MAX_ELEMENTS:
        faults.append(_fault(f"All arrays together may have {MAX_ELEMENTS} elements", "output", "include"))
    return faults


def _no_example(source: ExampleImage, manifest: Manifest, *location: str | int) -> list[Fault]:
    count = len(manifest.examples)
    if source.example < count:
        return []
    return [_fault(f"This model has {count} examples, counted from 0", *location)]


def _fault(detail: str, *location: str | int) -> Fault:
    return Fault(pointer(location), "does_not_fit", detail)


def _widest(groups: dict[str, tuple[int, ...]]) -> str:
    names = list(groups)
    return f"{names[0]}..{names[-1]}"
