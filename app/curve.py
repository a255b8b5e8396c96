"""The rate-distortion curve of an image: how close its first levels bring it, against the bits that they cost."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

import numpy as np

from app import words
from app.client import Step

PLOT_WIDTH, PLOT_HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 312, 190, 30, 6, 8, 34

Point = tuple[float, float | None]  # bits and PSNR in decibel, None for the image itself


def points(steps: Sequence[Step]) -> list[Point]:
    return [(step.bits, step.psnr) for step in steps]


def mean_points(images: Sequence[Sequence[Step]]) -> list[Point]:
    """The mean over several images, step by step. A step that is exact somewhere is left out."""
    found: list[Point] = []
    for steps in zip(*images, strict=True):
        known = [step.psnr for step in steps if step.psnr is not None]
        if len(known) == len(steps):
            found.append((mean(step.bits for step in steps), mean(known)))
    return found


def decibel(step: Step) -> str:
    return "∞" if step.psnr is None else f"{step.psnr:.1f}"


def psnr(step: Step) -> str:
    return f"{decibel(step)} dB"


def svg(steps: Sequence[Step], kept: int, others: Sequence[Point] = ()) -> str:
    """The curve with a dot at the step that keeps `kept` levels, numbers on both axes; `others` is a dashed curve."""
    own = points(steps)
    known = [value for _, value in (*own, *others) if value is not None]
    if not known:
        return ""
    low, high = np.floor(min(known) / 5) * 5, max(np.ceil(max(known) / 5) * 5, np.floor(min(known) / 5) * 5 + 5)
    step = max(5, 5 * round((high - low) / 25))
    across = _round_up(max(own[-1][0], *(bits for bits, _ in others), 1.0))

    def x(bits: float) -> float:
        return LEFT + (PLOT_WIDTH - LEFT - RIGHT) * bits / across

    def y(value: float | None) -> float:
        share = (min(value, high) - low) / (high - low) if value is not None else 1.0  # the image itself: off the scale
        return PLOT_HEIGHT - BOTTOM - (PLOT_HEIGHT - TOP - BOTTOM) * share

    lines = "".join(
        f'<path class="gridline" d="M{LEFT} {y(at):.1f}H{PLOT_WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 6}" y="{y(at) + 4:.1f}" text-anchor="end">{at:.0f}</text>'
        for at in np.arange(low, high + 1, step)
    )
    bottom = "".join(
        f'<text x="{x(across * part):.1f}" y="{PLOT_HEIGHT - 18}" text-anchor="{anchor}">{across * part:.0f}</text>'
        for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end"))
    )
    path = "L".join(f"{x(bits):.1f} {y(value):.1f}" for bits, value in own)
    dots = "".join(f'<circle cx="{x(bits):.1f}" cy="{y(value):.1f}" r="2.5"/>' for bits, value in own)
    around = "L".join(f"{x(bits):.1f} {y(value):.1f}" for bits, value in others)
    dashed = f'<path class="dashed" d="M{around}"/>' if others else ""
    now = own[kept]
    label = f"PSNR in decibel against bits kept. {kept} levels: {now[0]:.1f} bits, {psnr(steps[kept])}"
    return (
        f'<svg class="plot" viewBox="0 0 {PLOT_WIDTH} {PLOT_HEIGHT}" role="img" aria-label="{label}">'
        f"<title>{words.PSNR}. {words.OWN_RATE}</title>{lines}{bottom}"
        f'<text x="{(LEFT + PLOT_WIDTH) / 2:.0f}" y="{PLOT_HEIGHT - 3}" text-anchor="middle">bits kept</text>'
        f'<text x="{LEFT + 4}" y="{TOP + 4}">dB</text>'
        f'{dashed}<path class="line" d="M{path}"/>{dots}'
        f'<circle class="now" cx="{x(now[0]):.1f}" cy="{y(now[1]):.1f}" r="5"/></svg>'
    )


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 6, 8 or 10 times a power of ten."""
    power = 10 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value))
