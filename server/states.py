"""What was computed of earlier images and may be needed again, in memory bounded in bytes, for all models together.

A block is some arrays whose first axis is images, with a key for each image that says everything it was computed
from. Blocks are kept whole: no row is ever copied to be remembered, and what a block takes is what it gives back.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
Key = bytes


@dataclass(frozen=True, eq=False)
class Block:
    """Arrays [B, ...], and the keys of their rows."""

    arrays: Arrays
    keys: tuple[Key, ...]

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.arrays.values())


Row = tuple[Block, int]


class StateCache:
    """The blocks that were used last, at most `max_bytes` of them. May be used from several threads."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.nbytes = 0
        self._blocks: dict[Block, None] = {}  # the one that was not used for longest comes first
        self._rows: dict[Key, Row] = {}
        self._lock = threading.Lock()

    def put(self, keys: Sequence[Key], arrays: Arrays) -> None:
        """Remember the rows of `arrays`; nobody can write into them from now on."""
        block = Block(dict(arrays), tuple(keys))
        for array in arrays.values():
            array.setflags(write=False)
        with self._lock:
            new = [(key, row) for row, key in enumerate(keys) if key not in self._rows]
            if not new or block.nbytes > self.max_bytes:
                return
            self._blocks[block] = None
            self._rows |= {key: (block, row) for key, row in new}
            self.nbytes += block.nbytes
            while self.nbytes > self.max_bytes:
                self._forget(next(iter(self._blocks)))

    def first(self, keys: Iterable[Key]) -> tuple[int, Row] | None:
        """Which of `keys` is the first that is remembered, and its row."""
        with self._lock:
            for index, key in enumerate(keys):
                if (row := self._rows.get(key)) is not None:
                    self._blocks[row[0]] = self._blocks.pop(row[0])
                    return index, row
        return None

    def all_of(self, keys: Sequence[Key]) -> dict[str, NDArray[Any]] | None:
        """The arrays of these rows, if every one of them is remembered."""
        found = [self.first([key]) for key in keys]
        rows = [place[1] for place in found if place]
        return together(rows) if 0 < len(rows) == len(keys) else None

    def _forget(self, block: Block) -> None:
        del self._blocks[block]
        self.nbytes -= block.nbytes
        for key in block.keys:
            if (row := self._rows.get(key)) is not None and row[0] is block:
                del self._rows[key]


def together(rows: Sequence[Row]) -> dict[str, NDArray[Any]]:
    """The arrays of some remembered rows, in this order; a whole block as it is."""
    block = rows[0][0]
    if [(id(other), row) for other, row in rows] == [(id(block), row) for row in range(len(block.keys))]:
        return dict(block.arrays)
    return {name: np.stack([other.arrays[name][row] for other, row in rows]) for name in block.arrays}
