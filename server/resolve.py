"""What a recipe means for one model: every seed, one temperature a level, and levels as numbers.

A resolved recipe is itself a recipe, and resolving it again changes nothing; so it is what the server returns,
what a PNG carries, and what the id and the permalink are made from.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from model_zoo.manifest import Manifest
from server.discrete import discrete_faults
from server.edits import ResolvedEdit, ResolvedInterpolate, ResolvedKeep, ResolvedSwap
from server.fields import MAX_SEED
from server.recipe import UNCHANGED, Fault, LevelChange, Output, Recipe, RecipeError, Schedule, fault
from server.resolve_edits import resolve_edits, settle_encoded
from server.sources import (
    Encoded,
    EncodedSource,
    ExampleSource,
    LatentsSource,
    OwnSource,
    Reference,
    SeedSource,
    SeedsSource,
    image_alone,
)

MAX_PIXELS = 1 << 26  # of all PNGs of an answer together, after scaling
MAX_ELEMENTS = 1 << 26  # of all arrays that an answer includes: 256 MiB


class Resolved(Recipe):
    """A recipe without choices left to make: n images, their seeds, L temperatures, levels by number."""

    source: SeedsSource | ExampleSource | OwnSource | LatentsSource
    n: int
    temperature: tuple[float, ...]
    levels: dict[str, LevelChange]
    edits: tuple[ResolvedEdit, ...]
    output: Output

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each of the n images."""
        if isinstance(self.source, SeedsSource):
            return self.source.seeds
        return tuple(self.source.seed + i for i in range(self.n))

    @property
    def encoded(self) -> Encoded | None:
        """The encoded image that the recipe starts from, if it starts from one."""
        return None if isinstance(self.source, SeedsSource) else image_alone(self.source)

    @property
    def reconstructs(self) -> bool:
        """Whether the images start as the encoded one: an encoded source, and no edit says what to keep of it."""
        return self.encoded is not None and not any(isinstance(edit, ResolvedKeep) for edit in self.edits)

    @property
    def decodes(self) -> int:
        """How many images the decoder makes for this recipe, at most: what it costs."""
        looks = sum(isinstance(edit, ResolvedInterpolate) for edit in self.edits)
        return self.n * (1 + looks) + len(references(self))

    def change(self, level: int) -> LevelChange:
        return self.levels.get(str(level), UNCHANGED)

    def drawn_at(self, level: int) -> float:
        """The temperature that a level is drawn at before any edit."""
        return self.temperature[level] if self.change(level).mode == "sample" else 0.0

    def image(self, index: int) -> Resolved:
        """The recipe of image `index` alone, as its PNG carries it."""
        seed, source = self.seeds[index], self.source
        edits = tuple(
            edit.model_copy(update={"source": reference(edit, index)})
            if isinstance(edit, ResolvedSwap | ResolvedInterpolate)
            else edit
            for edit in self.edits
        )
        alone = SeedsSource(seeds=(seed,)) if isinstance(source, SeedsSource) else source
        return self.model_copy(
            update={
                "n": 1,
                "source": alone if isinstance(alone, SeedsSource) else alone.model_copy(update={"seed": seed}),
                "edits": edits,
                "output": self.output.model_copy(update={"layout": "images", "include": ()}),
            }
        )

    def sheet(self) -> Resolved:
        """The recipe of the contact sheet of all images."""
        return self.model_copy(update={"output": self.output.model_copy(update={"layout": "grid", "include": ()})})


def reference(edit: ResolvedSwap | ResolvedInterpolate, index: int) -> Reference:
    """The image that an edit refers to, for image `index` of the recipe."""
    if isinstance(edit.source, SeedsSource):
        return SeedSource(seed=edit.source.seeds[index])
    return edit.source


def resolve(
    recipe: Recipe,
    manifest: Manifest,
    *,
    fresh_seed: Callable[[], int],
    max_images: int,
    stored: Container[str] = (),
) -> Resolved:
    """Settle every choice of `recipe` for the model of `manifest`.

    `fresh_seed` is asked when there is no source; `stored` has the ids of the latents that are remembered. An image
    of one's own becomes the canonical PNG of the model's size.

    Raises RecipeError with every fault: a level or example that does not exist, a wrong number of temperatures or
    seeds, more images or pixels than allowed, an image that cannot be read, `keep` without a source that was encoded,
    and what cannot be done where latents are discrete.
    """
    faults: list[Fault] = []
    source, n = _images(recipe, manifest, fresh_seed, max_images, stored, faults)
    temperature = _temperatures(recipe, manifest, faults)
    levels = _changes(recipe, manifest, faults)
    edits = resolve_edits(recipe, n, manifest, stored, faults)
    faults.extend(_too_large(recipe.output, n, manifest))
    if not faults:
        resolved = Resolved(
            source=source, n=n, temperature=temperature, levels=levels, edits=edits, output=recipe.output
        )
        if manifest.prior == "bernoulli" and edits:
            held = resolved.reconstructs
            drawn_at = [None if held else resolved.drawn_at(level) for level in range(len(temperature))]
            faults.extend(discrete_faults(drawn_at, temperature, edits))
        if len(references(resolved)) > max_images:
            faults.append(fault(f"The edits take levels from more than {max_images} other images", "edits"))
    if faults:
        raise RecipeError(faults)
    return resolved


def references(recipe: Resolved) -> list[tuple[Reference, str]]:
    """The distinct images that the edits refer to, each with the space: those that need a pass of their own.

    A seed in noise space needs none: its noise is known without running the model.
    """
    edits = [edit for edit in recipe.edits if isinstance(edit, ResolvedSwap | ResolvedInterpolate)]
    pairs = [(reference(edit, i), edit.space) for edit in edits for i in range(recipe.n)]
    return [*dict.fromkeys(pair for pair in pairs if pair[1] == "latent" or not isinstance(pair[0], SeedSource))]


def _images(
    recipe: Recipe,
    manifest: Manifest,
    fresh_seed: Callable[[], int],
    max_images: int,
    stored: Container[str],
    faults: list[Fault],
) -> tuple[SeedsSource | EncodedSource, int]:
    source = recipe.source or SeedSource(seed=fresh_seed())
    seeds = source.seeds if isinstance(source, SeedsSource) else None
    n = recipe.n or (len(seeds) if seeds else 1)
    if n > max_images:
        faults.append(fault(f"At most {max_images} images a request", "n" if recipe.n else "source"))
        return SeedsSource(seeds=(0,)), 1
    if isinstance(source, SeedsSource):
        if len(source.seeds) != n:
            faults.append(fault(f"n is {n}, but there are {len(source.seeds)} seeds", "n"))
        return source, n
    if source.seed + n - 1 > MAX_SEED:
        faults.append(fault(f"The last of the {n} seeds would be above {MAX_SEED}", "source", "seed"))
        return SeedsSource(seeds=(0,)), 1
    if isinstance(source, SeedSource):
        return SeedsSource(seeds=tuple(source.seed + i for i in range(n))), n
    return settle_encoded(source, manifest, stored, faults, "source"), n


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
                faults.append(fault(detail, "temperature", name))
        values = [given.get(level.group, 1.0) for level in manifest.levels]
    elif isinstance(given, tuple):
        values = list(given)
        if len(values) != count:
            faults.append(fault(f"{len(values)} temperatures for {count} levels", "temperature"))
    else:
        values = [given] * count
    return tuple(value + 0.0 for value in values)  # -0.0 and 0.0 are one recipe


def _changes(recipe: Recipe, manifest: Manifest, faults: list[Fault]) -> dict[str, LevelChange]:
    keys = [str(level.index) for level in manifest.levels]
    for key in recipe.levels:
        if key not in keys:
            detail = f"No such level; this model has levels 0 to {len(manifest.levels) - 1}"
            faults.append(fault(detail, "levels", key))
    changed = {key: change for key, change in recipe.levels.items() if change != UNCHANGED}
    return {key: changed[key] for key in keys if key in changed}


def _too_large(output: Output, n: int, manifest: Manifest) -> list[Fault]:
    faults = []
    if n * manifest.image.height * manifest.image.width * output.scale**2 > MAX_PIXELS:
        faults.append(fault(f"All images together may have {MAX_PIXELS} pixels", "output", "scale"))
    if n * manifest.latents * len(output.include) > MAX_ELEMENTS:
        faults.append(fault(f"All arrays together may have {MAX_ELEMENTS} elements", "output", "include"))
    return faults
