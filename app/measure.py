"""What drawing a level again does to an image, in numbers and as a map. Pure functions on arrays."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MOST_HALF, MOST_CENTRE, LEAST_CENTRE = 0.62, 0.75, 0.08  # shares of a change
LARGE = 50_000  # latents; above it less is measured unasked

Pixels = NDArray[np.float64]  # [H, W, C] in 0..1

# matplotlib's viridis (CC0) at nine even places; straight lines between them are close enough for a map
VIRIDIS = np.array(
    [
        (68, 1, 84), (71, 45, 123), (59, 82, 139), (44, 114, 142), (33, 145, 140),
        (40, 174, 128), (94, 201, 98), (173, 220, 48), (253, 231, 37),
    ],
    dtype=np.float64,
)  # fmt: skip

# ColorBrewer's RdBu at five places, from blue over white to red
RDBU = np.array([(33, 102, 172), (146, 197, 222), (247, 247, 247), (244, 165, 130), (178, 24, 43)], dtype=np.float64)


@dataclass(frozen=True)
class Effect:
    """What changes when some levels are drawn again.

    `moved` is the share of ink moved (0 to 1) for images of one channel, and the mean absolute change in grey levels
    (0 to 255) for colour; `deviation` is the standard deviation of each pixel over the draws, [H, W] in 0..1.
    """

    moved: float
    deviation: NDArray[np.float64]
    draws: int


def decode(png: bytes) -> Pixels:
    """Pixels of a PNG, [H, W, C] in 0..1, with one channel or three."""
    with Image.open(io.BytesIO(png)) as image:
        plain = image if image.mode in ("L", "RGB") else image.convert("RGB")
        pixels = np.asarray(plain, dtype=np.float64) / 255.0
    return pixels if pixels.ndim == 3 else pixels[..., None]


def effects(arrays: Mapping[str, NDArray[Any]], draws: int) -> list[Effect]:
    """The effect of each row of a ladder, from the arrays that the server answers with, in grey levels of 255."""
    ink, change = arrays["ink_moved"], arrays["mean_change"]
    moved = np.where(np.isnan(ink), change, ink)  # colour has no ink
    return [
        Effect(float(amount), deviation / 255.0, draws)
        for amount, deviation in zip(moved, arrays["deviation"].astype(np.float64), strict=True)
    ]


def distance(one: Pixels, other: Pixels) -> float:
    """Root mean square difference."""
    return float(np.sqrt(np.mean((one - other) ** 2)))


def psnr(one: Pixels, other: Pixels) -> float | None:
    """Peak signal to noise ratio in dB; None where the two are equal."""
    apart = distance(one, other)
    return -20 * float(np.log10(apart)) if apart else None


def mean_change(one: Pixels, other: Pixels) -> float:
    """Mean absolute difference, in grey levels of 255."""
    return 255 * float(np.abs(one - other).mean())


def scale_of(effects: Sequence[Effect]) -> float:
    """One end of the colour bar for all maps of a screen, rounded up to 0.05."""
    highest = max((float(effect.deviation.max()) for effect in effects), default=0.0)
    return max(0.05, float(np.ceil(highest * 20 - 1e-9) / 20))


def heat_map(values: NDArray[np.float64], top: float) -> str:
    """[H, W] values from 0 to `top` in viridis, as the `data:` address of a PNG at that resolution."""
    places = np.clip(values / top, 0.0, 1.0) * (len(VIRIDIS) - 1)
    anchors = np.arange(len(VIRIDIS))
    colours = np.stack([np.interp(places, anchors, VIRIDIS[:, channel]) for channel in range(3)], axis=-1)
    return png_url(colours.round().astype(np.uint8))


def strength(png: bytes) -> NDArray[np.float64]:
    """[H, W] values in 0..1 of a map that was drawn in viridis, read back from its colours."""
    steps = np.linspace(0.0, len(VIRIDIS) - 1, 256)
    ramp = np.stack([np.interp(steps, np.arange(len(VIRIDIS)), VIRIDIS[:, c]) for c in range(3)], axis=-1)
    pixels = 255 * decode(png)[..., None, :]
    return np.abs(pixels - ramp).sum(axis=-1).argmin(axis=-1) / 255.0


def where(change: NDArray[np.float64]) -> str:
    """Where most of a change is, [H, W] of at least 0: "at the top", "in the centre" ..., or "" where it is all over.

    A half of the picture has most from `MOST_HALF` of the whole change on, the middle half of the rows and columns (a
    quarter of the picture) from `MOST_CENTRE` on, and the rest of it where the middle has at most `LEAST_CENTRE`.
    """
    total = change.sum()
    if total <= 0:
        return ""
    height, width = change.shape
    halves = {
        "at the top": change[: height // 2].sum(),
        "at the bottom": change[(height + 1) // 2 :].sum(),
        "on the left": change[:, : width // 2].sum(),
        "on the right": change[:, (width + 1) // 2 :].sum(),
    }
    name = max(halves, key=lambda half: halves[half])
    if halves[name] >= MOST_HALF * total:
        return name
    middle = change[height // 4 : height - height // 4, width // 4 : width - width // 4].sum() / total
    if middle >= MOST_CENTRE:
        return "in the centre"
    return "at the edges" if middle <= LEAST_CENTRE else ""


def png_url(pixels: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def signed_map(difference: Pixels) -> str:
    """[H, W, C] differences from -1 to 1, mean over channels, as a `data:` PNG: blue below zero, white there,
    red above."""
    places = np.clip(difference.mean(axis=-1), -1.0, 1.0) + 1.0
    colours = np.stack([np.interp(places, (0.0, 0.5, 1.0, 1.5, 2.0), RDBU[:, c]) for c in range(3)], axis=-1)
    return png_url(colours.round().astype(np.uint8))
