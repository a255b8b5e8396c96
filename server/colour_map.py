"""Numbers over an image as colours: viridis, whose steps look even and which the colour-blind can read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from server.png import Pixels

NAME = "viridis"

# matplotlib's viridis (CC0) at seventeen even places, with straight lines between them.
ANCHORS = np.array(
    [
        (68, 1, 84), (72, 24, 106), (71, 45, 123), (66, 64, 134), (59, 82, 139), (51, 99, 141), (44, 114, 142),
        (38, 129, 142), (33, 144, 140), (31, 159, 136), (40, 174, 128), (62, 188, 116), (93, 201, 99),
        (130, 211, 76), (171, 220, 50), (213, 226, 26), (253, 231, 37),
    ],
    dtype=np.float64,
)  # fmt: skip


def colour(values: NDArray[np.floating], top: float) -> Pixels:
    """[H, W] values from 0 to `top` as [H, W, 3]; what lies outside takes the colour of the nearer end."""
    places = np.clip(values / top, 0.0, 1.0) * (len(ANCHORS) - 1)
    channels = [np.interp(places, np.arange(len(ANCHORS)), ANCHORS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)
