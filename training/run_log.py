"""The log of a run: one JSON line every `log_every` steps, with the means since the line before."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from training.trainer import Report


class RunLog:
    """Means since the last line, as JSON lines.

    A step that was not finite counts as skipped and is in no mean; a figure that has no finite value at all is null.
    """

    def __init__(self, path: Path, step: int, dims: int) -> None:
        self.path, self.dims = path, dims
        self.reports: list[Report] = []
        self.since: float | None = None
        path.touch()
        kept = takewhile(lambda line: json.loads(line)["step"] <= step, _lines(path))
        os.truncate(path, sum(map(len, kept)))  # lines are in order, so nothing has to be written again

    def add(self, report: Report, now: float) -> None:
        self.since = now if self.since is None else self.since  # the first step (compilation) is not timed
        self.reports.append(report)
        self.now = now

    def write(self, batch_size: int) -> dict[str, Any]:
        """Append the line of the steps added since the last one, and return its values.

        Raises OSError if the disk does not take it; the file is then as it was, and the next line covers these steps.
        """
        values = _finite(self._values(batch_size))
        size = self.path.stat().st_size
        try:
            with self.path.open("ab") as file:
                file.write((json.dumps(values) + "\n").encode())
        except OSError as error:
            os.truncate(self.path, size)
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self.reports, self.since = [], self.now
        return values

    def shown(self, batch_size: int) -> dict[str, str]:
        """What a progress bar shows of the line to be written."""
        values = self._values(batch_size)
        speed = values["images_per_s"]
        return {
            "nats": f"{values['nats_per_image']:.2f}",
            "rate": f"{values['rate']:.2f}",
            "distortion": f"{values['distortion']:.2f}",
            "bits/dim": f"{values['bits_per_dim']:.4f}",
            "images/s": "-" if speed is None else f"{speed:.0f}",
        }

    def _values(self, batch_size: int) -> dict[str, Any]:
        seconds = 0.0 if self.since is None else self.now - self.since
        used = [report for report in self.reports if report.finite] or self.reports
        nats = sum(r.nats for r in used) / len(used)
        rates = [sum(level) / len(used) for level in zip(*(r.rates for r in used), strict=True)]
        return {
            "step": self.reports[-1].step + 1,
            "nats_per_image": nats,
            "rate": sum(rates),
            "distortion": sum(r.distortion for r in used) / len(used),
            "bits_per_dim": nats / self.dims / math.log(2),
            "rate_by_level": rates,
            "gradient_norm": max(r.gradient_norm for r in used),
            "learning_rate": self.reports[-1].learning_rate,
            "skipped": sum(r.skipped for r in self.reports),
            "images_per_s": len(self.reports) * batch_size / seconds if seconds > 0 else None,
        }


def _lines(path: Path) -> Iterator[bytes]:
    """Whole lines only: a run that was killed may have left half a line."""
    yield from takewhile(lambda line: line.endswith(b"\n"), path.read_bytes().splitlines(keepends=True))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
