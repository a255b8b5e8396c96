"""The documents that inspect answers, from the arrays that the pure parts make."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_zoo.manifest import Manifest
from server.answers import image_answers, image_file, image_png, png_fields, recipe_fields
from server.colour_map import colour
from server.encode import Encoding, mean_square_error, psnr
from server.inspect_answers import (
    CellAnswer,
    DrawAnswer,
    GalleryAnswer,
    GroupMapAnswer,
    LadderAnswer,
    LevelMapAnswer,
    ProgressiveAnswer,
    RateMapsAnswer,
    RowAnswer,
    SampleImages,
    ScaleAnswer,
    SensitivityAnswer,
    SlopeAnswer,
    StepAnswer,
)
from server.inspect_kl import RateMap, Rates
from server.inspect_ladder import Change, Row
from server.inspect_progressive import kept_bits
from server.inspect_sensitivity import Slope, rms
from server.models import Model
from server.permalink import recipe_id
from server.png import Pixels
from server.resolve import Resolved
from server.sources import EncodedSource

GREY_LEVELS = "grey levels"
BITS_A_PIXEL = "bits per pixel"


def describe_ladder(
    model: Model, base: Resolved, rows: Sequence[Row], pixels: Pixels, changes: Sequence[Change], show: int, below: str
) -> LadderAnswer:
    """`pixels` are the base [1, H, W, C] and, row by row, all cells."""
    manifest, draws = model.bundle.manifest, len(rows[0].cells)
    tops = {
        "change": _top(float(change.change.max()) for change in changes),
        "deviation": _top(float(change.deviation.max()) for change in changes),
    }
    bits = [level.kl_bits for level in manifest.levels]
    every = None if None in bits else sum(value for value in bits if value is not None)
    answers = []
    for index, (row, change) in enumerate(zip(rows, changes, strict=True)):
        images = pixels[1 + index * draws :][:show]
        cost = _sum([bits[level] for level in row.levels])
        answers.append(
            RowAnswer(
                levels=list(row.levels),
                group=_group(manifest, row.levels),
                kl_bits=cost,
                share=cost / every if cost is not None and every else None,
                mean_change=change.mean,
                ink_moved=change.ink_moved,
                change=image_file(colour(change.change, tops["change"])),
                deviation=image_file(colour(change.deviation, tops["deviation"])),
                cells=[
                    DrawAnswer(draw=draw, **cell_fields(model, recipe, image))
                    for draw, recipe, image in zip(row.draws, row.cells, images, strict=False)
                ],
            )
        )
    return LadderAnswer(
        **_model(model),
        base=CellAnswer(**cell_fields(model, base, pixels[0])),
        below=below,
        draws=draws,
        scales={name: ScaleAnswer(top=top, unit=GREY_LEVELS) for name, top in tops.items()},
        rows=answers,
    )


def describe_rates(model: Model, source: EncodedSource, encoding: Encoding, rates: Rates) -> RateMapsAnswer:
    manifest, top = model.bundle.manifest, max(rates.highest, 1e-6)
    cumulative = np.cumsum([rate.bits for rate in rates.levels])
    return RateMapsAnswer(
        **_elbo(model, source, encoding),
        scale=ScaleAnswer(top=top, unit=BITS_A_PIXEL),
        levels=[
            LevelMapAnswer(
                index=level.index,
                group=level.group,
                nats=float(rate.nats.sum()),
                bits=rate.bits,
                cumulative_bits=float(bits),
                **_map(rate, top),
            )
            for level, rate, bits in zip(manifest.levels, rates.levels, cumulative, strict=True)
        ],
        groups=[
            GroupMapAnswer(name=name, levels=list(manifest.groups[name]), bits=rate.bits, **_map(rate, top))
            for name, rate in rates.groups.items()
        ],
        total=_map(rates.image, top)["map"],
    )


def rate_arrays(rates: Rates) -> dict[str, NDArray[Any]]:
    """`level_0` and so on [H, W] in nats, each on its own grid; `image` [H, W] in bits a pixel; `bits` [L]."""
    grids = {f"level_{index}": rate.nats.astype(np.float32) for index, rate in enumerate(rates.levels)}
    bits = np.array([rate.bits for rate in rates.levels])
    return {"bits": bits, "image": rates.image.density.astype(np.float32), **grids}


def describe_progressive(
    model: Model, source: EncodedSource, encoding: Encoding, steps: Mapping[int, Resolved], images: Pixels, others: str
) -> ProgressiveAnswer:
    """`steps` has the recipe of each number of levels kept, `images` [K, H, W, C] what they make."""
    answers = []
    whole = kept_bits(encoding, [len(encoding.rates)])[0]
    for (kept, recipe), bits, image in zip(steps.items(), kept_bits(encoding, list(steps)), images, strict=True):
        error = mean_square_error(encoding.image, image)
        answers.append(
            StepAnswer(
                kept=kept,
                bits=bits,
                share=bits / whole if whole else 1.0,
                mse=error,
                psnr=psnr(error),
                **cell_fields(model, recipe, image),
            )
        )
    return ProgressiveAnswer(**_elbo(model, source, encoding), others=others, steps=answers)


def describe_sensitivity(
    model: Model, base: Resolved, slopes: Sequence[Slope], changes: NDArray[np.float64]
) -> SensitivityAnswer:
    """`changes` [K, H, W, C]: |dx| for 0.1 of each level's temperature."""
    levels = model.bundle.manifest.levels
    return SensitivityAnswer(
        **_model(model),
        recipe=_recipe(base),
        recipe_id=recipe_id(base),
        levels=[
            SlopeAnswer(
                index=slope.level,
                group=levels[slope.level].group,
                temperature=base.temperature[slope.level],
                low=slope.low,
                high=slope.high,
                change=rms(change),
            )
            for slope, change in zip(slopes, changes, strict=True)
        ],
    )


def describe_gallery(model: Model, recipes: Sequence[Resolved], pixels: Pixels) -> GalleryAnswer:
    """`pixels` has the images of the recipes, one after the other."""
    ends = np.cumsum([recipe.n for recipe in recipes])[:-1]
    return GalleryAnswer(
        **_model(model),
        samples=[
            SampleImages(**recipe_fields(recipe), images=image_answers(model, recipe, images))
            for recipe, images in zip(recipes, np.split(pixels, ends), strict=True)
        ],
    )


def cell_fields(model: Model, recipe: Resolved, pixels: Pixels) -> dict[str, Any]:
    """One image [H, W, C], exactly the file that `sample` makes of its recipe."""
    png = image_png(model, recipe, pixels[None], 0)
    return {"recipe": _recipe(recipe), "recipe_id": recipe_id(recipe), **png_fields(png, pixels, recipe)}


def _recipe(recipe: Resolved) -> dict[str, Any]:
    return recipe.model_dump(mode="json", by_alias=True)


def _model(model: Model) -> dict[str, Any]:
    return {"model": model.id, "digest": model.bundle.digest, "provider": model.engine.provider}


def _elbo(model: Model, source: EncodedSource, encoding: Encoding) -> dict[str, Any]:
    bit, rate = math.log(2), sum(encoding.rates)
    metrics = model.bundle.manifest.metrics
    return {
        **_model(model),
        "image": image_file(encoding.image),
        "source": source.model_dump(mode="json"),
        "rate_nats": rate,
        "rate_bits": rate / bit,
        "distortion_nats": encoding.distortion,
        "distortion_bits": encoding.distortion / bit,
        "nats_per_image": encoding.nats,
        "bits_per_dim": encoding.bits_per_dim,
        "dataset": next((metric for metric in metrics if metric.estimator == "ELBO"), None),
    }


def _map(rate: RateMap, top: float) -> dict[str, Any]:
    return {"highest": float(rate.density.max()), "map": image_file(colour(rate.density, top))}


def _top(values: Any) -> float:
    """The end of a colour scale: what is highest, but never so little that a map shows rounding."""
    return max(1.0, *values)


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _group(manifest: Manifest, levels: Sequence[int]) -> str | None:
    """The resolution of some levels, if they have one."""
    names = {manifest.levels[level].group for level in levels}
    return names.pop() if len(names) == 1 else None
