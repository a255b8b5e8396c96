"""Colours of maps: from the dark end to the bright one, evenly."""

from __future__ import annotations

import numpy as np

from server.colour_map import ANCHORS, colour


def test_the_ends_are_viridis_and_what_lies_outside_takes_them() -> None:
    made = colour(np.array([[-1.0, 0.0, 2.0, 9.0]]), 2.0)
    assert made.dtype == np.uint8
    assert made.tolist() == [[[68, 1, 84], [68, 1, 84], [253, 231, 37], [253, 231, 37]]]


def test_lightness_grows_in_even_steps() -> None:
    """CIE L* of sRGB colours (D65) over the whole scale: each twentieth adds between half and twice its share."""
    linear = (colour(np.linspace(0, 1, 21)[None], 1.0)[0] / 255.0) ** 2.2
    lightness = 116 * np.cbrt(linear @ np.array([0.2126, 0.7152, 0.0722])) - 16
    steps = np.diff(lightness)
    assert (steps > 0.5 * steps.mean()).all()
    assert (steps < 2 * steps.mean()).all()
    assert len(ANCHORS) == 17
