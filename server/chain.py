"""Decoding as a chain of segments, from the deepest cut above which everything was computed before.

A full decode and one that starts from a remembered state go through the same segments with the same inputs, so on
the CPU they end in the same bits. Each image of a batch has its own place to start: the batch grows on its way down.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from server.cancel import Cancel
from server.plan import Floats, Pass
from server.segments import Segment
from server.states import Arrays, Key, Row, StateCache, together

DecoderOutput = Literal["likelihood", "latents", "prior_mean", "prior_scale"]
Outputs = tuple[DecoderOutput, ...]
Run = Callable[[Sequence[str], Arrays, ort.RunOptions], list[NDArray[Any]]]  # as a session's `run`


class Decoded(dict[DecoderOutput, Floats]):
    """The outputs of a pass by their names, and for how many levels of each image something was computed."""

    def __init__(self, outputs: Mapping[DecoderOutput, Floats], levels_computed: Sequence[int]) -> None:
        super().__init__(outputs)
        self.levels_computed = tuple(levels_computed)


@dataclass(frozen=True)
class Link:
    """A segment and what runs it."""

    segment: Segment
    run: Run


@dataclass(frozen=True)
class Chain:
    """A decoder. `digest` is the model's; states of all models may be in one cache."""

    links: tuple[Link, ...]
    digest: str
    cache: StateCache

    @property
    def levels(self) -> int:
        return self.links[-1].segment.levels.stop

    def decode(self, work: Pass, outputs: Outputs, cancel: Cancel) -> Decoded:
        """Run one top-down pass. Raises Cancelled soon after `cancel` is switched on."""
        with stopping(cancel) as options:
            if outputs == ("likelihood",):
                return self._image(work, cancel, options)
            return self._packed(work, outputs, cancel, options)

    def _image(self, work: Pass, cancel: Cancel, options: ort.RunOptions) -> Decoded:
        """The likelihood alone: each image starts at the deepest cut whose state is known."""
        keys = prefix_keys(self.digest, work, [link.segment for link in self.links[:-1]])
        kept = self._kept(len(work))
        known = [self._known(keys, row) for row in range(len(work))]
        rows: list[int] = []
        state: dict[str, NDArray[Any]] = {}
        for index, link in enumerate(self.links):
            entering = [row for row, (start, _) in enumerate(known) if start == index]
            if entering:
                found = [place for row in entering if (place := known[row][1])]
                state = _merge(state, rows, together(found) if found else {}, entering)
                rows = sorted(rows + entering)
            if not rows:
                continue
            cancel.check()
            names = (*link.segment.makes, *(("likelihood",) if index == len(self.links) - 1 else ()))
            state = state | self._run(link, _rows(work, rows), state, names, options)  # what was kept stays as it is
            if index + 1 < len(self.links):
                state = {name: state[name] for name in self.links[index + 1].segment.state}
                if index + 1 in kept:
                    self.cache.put([keys[index][row] for row in rows], state)
        computed = [self.levels - self.links[start].segment.levels.start for start, _ in known]
        return Decoded({"likelihood": state["likelihood"]}, computed)

    def _packed(self, work: Pass, outputs: Outputs, cancel: Cancel, options: ort.RunOptions) -> Decoded:
        """With packed outputs, which every segment has a part of: from the top, or remembered as a whole."""
        keys = prefix_keys(self.digest + "+".join(outputs), work, [link.segment for link in self.links])[-1]
        if (remembered := self.cache.all_of(keys)) is not None:
            return Decoded({name: remembered[name] for name in outputs}, [0] * len(work))
        state: dict[str, NDArray[Any]] = {}
        parts: dict[DecoderOutput, list[Floats]] = {name: [] for name in outputs}
        for link in self.links:
            cancel.check()
            own = [name for name in outputs if name != "likelihood" or link is self.links[-1]]
            made = self._run(link, work, state, (*link.segment.makes, *own), options)
            for name in own:
                parts[name].append(made[name])
            state |= {name: made[name] for name in link.segment.makes}
        whole = {
            name: np.concatenate(arrays, axis=1) if len(arrays) > 1 else arrays[0] for name, arrays in parts.items()
        }
        self.cache.put(keys, {str(name): array for name, array in whole.items()})
        return Decoded(whole, [self.levels] * len(work))

    def _run(
        self, link: Link, work: Pass, state: Arrays, names: Sequence[str], options: ort.RunOptions
    ) -> dict[str, NDArray[Any]]:
        columns, levels = link.segment.columns, link.segment.levels
        feed = {
            "noise": work.noise[:, columns],
            "given": work.given[:, columns],
            "keep": work.keep[:, columns],
            "temperature": work.temperature[:, levels.start : levels.stop],
        }
        feed |= {name: state[name] for name in link.segment.reads}
        return dict(zip(names, link.run(names, feed, options), strict=True))

    def _known(self, keys: Sequence[Sequence[Key]], row: int) -> tuple[int, Row | None]:
        """The deepest cut of one image whose state is remembered, and where it is; cut 0 needs none."""
        found = self.cache.first([cut[row] for cut in reversed(keys)])
        return (len(keys) - found[0], found[1]) if found else (0, None)

    def _kept(self, count: int) -> set[int]:
        """The cuts whose states of `count` images are to be remembered.

        All of them, if they take at most half of the cache; else some, evenly. So one pass leaves in place what was
        used just before, above all the state that it started from itself.
        """
        sizes = [count * link.segment.state_bytes for link in self.links]
        half = self.cache.max_bytes // 2
        stride = max(1, -(-sum(sizes) // half)) if half else len(sizes)
        return {cut for cut in range(len(sizes) - 1, 0, -stride) if sizes[cut] <= half}


@contextmanager
def stopping(cancel: Cancel) -> Iterator[ort.RunOptions]:
    """Options whose runs stop when `cancel` is switched on. Raises Cancelled, then and if it was on before."""
    cancel.check()
    options = ort.RunOptions()
    take_back = cancel.tell(lambda: setattr(options, "terminate", True))
    try:
        yield options
    except Exception:
        cancel.check()  # ONNX Runtime says that it was stopped with an exception that has no class of its own
        raise
    finally:
        take_back()


def prefix_keys(digest: str, work: Pass, segments: Sequence[Segment]) -> list[list[Key]]:
    """For the cut under each segment, the key of each image: a hash of all that its pass says down to there."""
    if not segments:
        return []
    hashes = [hashlib.blake2b(digest.encode(), digest_size=16) for _ in range(len(work))]
    keys = []
    for segment in segments:
        columns, levels = segment.columns, segment.levels
        keeps = [bool(row.any()) for row in work.keep[:, columns]]
        for row, hashed in enumerate(hashes):
            hashed.update(b"keeps" if keeps[row] else b"draws")
            hashed.update(work.temperature[row, levels.start : levels.stop].data)
            hashed.update(work.noise[row, columns].data)
            if keeps[row]:  # else nobody reads `given`
                hashed.update(work.given[row, columns].data)
                hashed.update(work.keep[row, columns].data)
        keys.append([hashed.digest() for hashed in hashes])
    return keys


def _rows(work: Pass, rows: Sequence[int]) -> Pass:
    if len(rows) == len(work):
        return work
    return Pass(work.noise[rows], work.given[rows], work.keep[rows], work.temperature[rows])


def _merge(state: Arrays, rows: Sequence[int], found: Arrays, entering: Sequence[int]) -> dict[str, NDArray[Any]]:
    """The states of images on their way and of those that enter, in the order of their numbers."""
    if not rows:
        return dict(found)
    order = np.argsort([*rows, *entering])
    return {name: np.concatenate([state[name], found[name]])[order] for name in state}
