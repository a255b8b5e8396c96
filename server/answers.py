"""Samples as bytes, and which kind was asked for: JSON with one PNG an image, a single PNG, or a NumPy archive."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from server.models import Model
from server.noise import RNG
from server.permalink import canonical, recipe_id, to_token
from server.png import MODEL_KEY, RECIPE_KEY, Pixels, contact_sheet, encode
from server.recipe import Recipe
from server.resolve import Resolved
from server.sample import Sample

JSON, PNG, NPZ = "application/json", "image/png", "application/x-npz"
MEDIA_TYPES = (JSON, PNG, NPZ)  # the first is the default


class ImageAnswer(BaseModel):
    """One PNG, base64, with the SHA-256 of its bytes."""

    index: int
    seed: int
    sha256: str
    mime: Literal["image/png"] = "image/png"
    height: int
    width: int
    data: str


class SheetAnswer(BaseModel):
    """One PNG that is no image of its own recipe: all images of a sample (with layout "grid"), or an encoded one."""

    sha256: str
    mime: Literal["image/png"] = "image/png"
    height: int
    width: int
    data: str

    @property
    def png(self) -> bytes:
        return base64.b64decode(self.data)


class Timing(BaseModel):
    decode_ms: float
    total_ms: float


class SampleAnswer(BaseModel):
    """What POST and GET /sample answer as JSON."""

    model: str
    digest: str
    recipe: dict[str, Any]
    recipe_id: str
    token: str
    token_length: int
    images: list[ImageAnswer]
    sheet: SheetAnswer | None = None
    levels_computed: int
    provider: Literal["cpu", "cuda"]
    rng: str
    timing: Timing


class LevelRate(BaseModel):
    """KL(q || p) of one level."""

    index: int
    nats: float
    bits: float


class EncodeAnswer(BaseModel):
    """What POST encode answers as JSON."""

    model: str
    digest: str
    latents: str
    image: SheetAnswer
    estimator: Literal["ELBO"] = "ELBO"
    noise_seed: int
    levels: list[LevelRate]
    rate_nats: float
    rate_bits: float
    distortion_nats: float
    distortion_bits: float
    nats_per_image: float
    bits_per_dim: float
    psnr: float | None


def negotiate(accept: str | None, offers: tuple[str, ...] = MEDIA_TYPES) -> str | None:
    """The media type that an Accept header prefers among `offers`, or None (RFC 9110, section 12.5.1)."""
    if accept is None or not accept.strip():
        return offers[0]
    ranges = dict(_media_range(part) for part in accept.split(","))

    def quality(offer: str) -> float:
        kind = offer.split("/")[0]
        return next((ranges[name] for name in (offer, f"{kind}/*", "*/*") if name in ranges), 0.0)

    best = max(offers, key=quality)
    return best if quality(best) > 0 else None


def _media_range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, float(parameter[2:])
            except ValueError:
                return name, 0.0
    return name, 1.0


def image_png(model: Model, recipe: Resolved, images: Pixels, index: int) -> bytes:
    """Image `index` with the recipe that makes it alone, so that it is the same file in whatever batch it was made."""
    return encode(images[index], _texts(model, recipe.image(index)), recipe.output.scale)


def sheet_png(model: Model, recipe: Resolved, images: Pixels) -> bytes:
    """All images in one, with the recipe of them all."""
    return encode(contact_sheet(images), _texts(model, recipe.sheet()), recipe.output.scale)


def one_png(model: Model, recipe: Resolved, images: Pixels) -> bytes:
    return image_png(model, recipe, images, 0) if recipe.n == 1 else sheet_png(model, recipe, images)


def npz(model: Model, recipe: Resolved, sample: Sample) -> bytes:
    """`pixels` [n, H, W, C] uint8, `seeds` [n], `recipe` and `model` as text, and the arrays that were asked for."""
    return pack_npz(
        {
            "pixels": sample.images,
            "seeds": np.array(recipe.seeds, np.int64),
            "recipe": np.array(canonical(recipe)),
            "model": np.array(model.id),
            **sample.arrays,
        }
    )


def pack_npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A NumPy archive, the same to the last byte each time: NumPy's own writer would put the clock into it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(array, order="C"), allow_pickle=False)
    return buffer.getvalue()


def image_answers(model: Model, recipe: Resolved, images: Pixels) -> list[ImageAnswer]:
    return [
        ImageAnswer(
            index=index, seed=seed, **png_fields(image_png(model, recipe, images, index), images[index], recipe)
        )
        for index, seed in enumerate(recipe.seeds)
    ]


def sheet_answer(model: Model, recipe: Resolved, images: Pixels) -> SheetAnswer | None:
    if recipe.output.layout != "grid":
        return None
    return SheetAnswer(**png_fields(sheet_png(model, recipe, images), contact_sheet(images), recipe))


def sample_answer(model: Model, recipe: Resolved, sample: Sample, decode_ms: float, total_ms: float) -> SampleAnswer:
    """The images of a recipe, and what made them in how long."""
    images = sample.images
    return SampleAnswer(
        model=model.id,
        digest=model.bundle.digest,
        **recipe_fields(recipe),
        images=image_answers(model, recipe, images),
        sheet=sheet_answer(model, recipe, images),
        levels_computed=sample.levels_computed,
        provider=model.engine.provider,
        rng=RNG,
        timing=Timing(decode_ms=decode_ms, total_ms=total_ms),
    )


def recipe_fields(recipe: Resolved) -> dict[str, Any]:
    """The resolved recipe, its id and its token, under the names of the JSON answer."""
    document, token = recipe.model_dump(mode="json", by_alias=True), to_token(recipe)
    return {"recipe": document, "recipe_id": recipe_id(recipe), "token": token, "token_length": len(token)}


def image_file(pixels: Pixels) -> SheetAnswer:
    """One image [H, W, C] as PNG, with no recipe in it."""
    png = encode(pixels, {})
    height, width = pixels.shape[:2]
    return SheetAnswer(
        sha256=hashlib.sha256(png).hexdigest(), height=height, width=width, data=base64.b64encode(png).decode()
    )


def _texts(model: Model, recipe: Recipe) -> dict[str, str]:
    return {MODEL_KEY: model.id, RECIPE_KEY: canonical(recipe)}


def png_fields(png: bytes, pixels: Pixels, recipe: Resolved) -> dict[str, Any]:
    """A PNG of `pixels` [H, W, C] under the names of the JSON answer."""
    height, width = (side * recipe.output.scale for side in pixels.shape[:2])
    digest = hashlib.sha256(png).hexdigest()
    return {"sha256": digest, "height": height, "width": width, "data": base64.b64encode(png).decode()}
