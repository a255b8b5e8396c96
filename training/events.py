"""TensorBoard's event files beside a run's JSON lines: the same figures and pictures, for who watches many runs.

    tensorboard --logdir runs

TensorBoard is an extra of its own; without `train --tensorboard` nothing imports it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.figures import ACTIVE
from training.pictures import TEMPERATURES

FOLDER_NAME = "events"  # in the run's folder


class EventsError(Exception):
    """Events cannot be written; the message says what is missing."""


class Events:
    """Writes to RUN/events. Of a run that is resumed after `step`, what an earlier process wrote later is hidden.

    Raises EventsError where TensorBoard is not installed.
    """

    def __init__(self, run: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise EventsError(
                "--tensorboard needs TensorBoard: pip install -c constraints.txt -e '.[tensorboard]'"
            ) from error
        self.writer = SummaryWriter(str(run / FOLDER_NAME), purge_step=step + 1)

    def figures(self, line: dict[str, Any]) -> None:
        """A line of the log, and how many levels are active. What is null there is left out."""
        rates = line["rate_by_level"]
        scalars = {key: value for key, value in line.items() if key not in ("step", "rate_by_level")}
        scalars |= {f"rate_by_level/{level:03d}": rate for level, rate in enumerate(rates)}
        if None not in rates:
            scalars["active_levels"] = sum(rate > ACTIVE for rate in rates)
        for key, value in scalars.items():
            if value is not None:
                self.writer.add_scalar(key, value, line["step"])
        self.writer.flush()

    def picture(self, sheet: NDArray[np.uint8], step: int) -> None:
        """The two halves of a contact sheet [H, W, C]: images above their reconstructions, and samples."""
        height = len(sheet) // (2 + len(TEMPERATURES))
        self.writer.add_image("reconstructions", sheet[: 2 * height], step, dataformats="HWC")
        self.writer.add_image("samples", sheet[2 * height :], step, dataformats="HWC")
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()
