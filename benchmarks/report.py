"""What every result says beside its figures, and how it becomes two files: JSON for programs, a table for people."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmarks.timing import Record
from training.hardware import describe_hardware
from training.run import describe_commit

PACKAGES = ("numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "torch", "triton")
VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")


class Circumstances(Record):
    """Where, when and with what something was measured."""

    hardware: str
    system: str
    threads: int
    load: float | None  # of the machine when the run began: processes that wanted a core in the minute before
    python: str
    versions: dict[str, str]
    environment: dict[str, str]  # variables that change the speed of matrix products, where they are set
    commit: str | None
    date: str
    command: str

    def lines(self) -> list[str]:
        """As Markdown."""
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        load = "" if self.load is None else f", load {self.load:.1f} at the start"
        lines = [
            f"- {self.hardware}{load}; {self.system}",
            f"- Python {self.python}, {versions}",
            f"- {self.date}, commit {self.commit}, `{self.command}`",
        ]
        settings = ", ".join(f"{name}={value}" for name, value in self.environment.items())
        return [*lines, f"- {settings}"] if settings else lines


def circumstances(device: torch.device, now: datetime.datetime, command: str) -> Circumstances:
    """Those of this process."""
    return Circumstances(
        hardware=describe_hardware(device),
        system=f"{platform.system()} {platform.machine()}",
        threads=torch.get_num_threads(),
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        python=platform.python_version(),
        versions={name: number for name in PACKAGES if (number := _version(name))},
        environment={name: os.environ[name] for name in VARIABLES if name in os.environ},
        commit=describe_commit(),
        date=now.isoformat(timespec="minutes"),
        command=command,
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, as lines."""
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def write(folder: Path, name: str, record: Record, lines: Sequence[str]) -> None:
    """Write NAME.json and NAME.md into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def fill(document: Path, name: str, lines: Sequence[str]) -> None:
    """Replace what stands between `<!-- begin NAME -->` and `<!-- end NAME -->` in a document."""
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
    text = document.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{document} needs one line {begin.strip()} and one line {end} after it")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    document.write_text("\n".join([before + begin, *lines, "", end]) + after, encoding="utf-8")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
