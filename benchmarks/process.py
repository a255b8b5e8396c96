"""Python modules run beside this one, never longer than they may."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple


class Outcome(NamedTuple):
    """How a process ended: its exit code, or None when its time was up, and what it wrote."""

    code: int | None
    output: str
    errors: str = ""

    @property
    def last_line(self) -> str:
        """Of its output: where a benchmark's JSON is."""
        return _last(self.output)

    @property
    def problem(self) -> str:
        """One line that says what went wrong; empty when nothing did."""
        if self.code == 0:
            return ""
        reason = "its time was up" if self.code is None else f"exit code {self.code}"
        detail = _last(self.errors) or _last(self.output)
        return f"{reason}: {detail[:300]}" if detail else reason


def run(module: Sequence[str], seconds: float) -> Outcome:
    """`python -m MODULE ...` for at most `seconds`; what it started itself (compilers) ends with it."""
    if seconds <= 0:
        return Outcome(None, "")
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )  # fmt: skip
    try:
        output, errors = process.communicate(timeout=seconds)
        return Outcome(process.returncode, output, errors)
    except subprocess.TimeoutExpired:
        _kill(process)
        return Outcome(None, *process.communicate())


def stop(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Ask a process to end and give it `seconds`; its exit code, or None when it had to be killed."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        _kill(process)
        process.wait()
        return None


def _kill(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """The process and everything of its session."""
    os.killpg(process.pid, signal.SIGKILL)


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
