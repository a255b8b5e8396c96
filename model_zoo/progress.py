"""How far a file is, on a terminal as it moves and elsewhere in one line when it is there."""

from __future__ import annotations

from typing import TextIO

from model_zoo.fetch import Progress
from model_zoo.manifest import File
from model_zoo.place import Watch


def watch(out: TextIO) -> Watch:
    """Tell the progress of each file to `out`."""

    def start(name: str, file: File) -> Progress:
        def show(done: int) -> None:
            line = f"{name}  {done / 1e3:,.0f} of {file.size / 1e3:,.0f} kB"
            if out.isatty():
                out.write(f"\r{line}" + ("\n" if done == file.size else ""))
                out.flush()
            elif done == file.size:
                out.write(f"{line}\n")

        return show

    return start
