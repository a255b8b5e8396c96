"""The models that this server has: each bundle of the zoo, opened once, or the reason why it cannot be used.

The zoo may change while it is served. `Models.refresh` looks at it: what is new is opened, what is gone is forgotten,
and what was replaced takes the place of the old in one step. A request that runs holds the model that it began with.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model_zoo.bundle import Bundle
from model_zoo.zoo import bundle_folders, open_entry, split_id
from server.engine import Engine
from server.png import Pixels, read_image
from server.settings import Settings
from server.states import StateCache

log = logging.getLogger("strata.server")

Signature = tuple[tuple[str, int, int, int], ...]  # name, inode, size and time of change of every file


@dataclass(frozen=True)
class Model:
    """A model ready to sample: its bundle, its sessions, and its test images [E, H, W, C] with their files.

    `id` is its name, the same for every version: what it makes does not depend on what other versions there are.
    """

    id: str
    version: int
    bundle: Bundle
    engine: Engine
    examples: Pixels
    files: tuple[bytes, ...]


@dataclass(frozen=True)
class Unavailable:
    """A bundle that is there but cannot be used."""

    id: str
    version: int
    reason: str


@dataclass(frozen=True)
class Served:
    """What is served of a directory that had this signature when it was looked at, and why not what is in it then."""

    signature: Signature
    model: Model | Unavailable
    refused: str | None = None


@dataclass(frozen=True)
class Shown:
    """A model as it is addressed: by its name for the newest that can be used, or by NAME@VERSION."""

    id: str
    model: Model | Unavailable
    versions: tuple[int, ...]
    warning: str | None


class Models:
    """The models of one zoo. May be read from any thread while one of them refreshes."""

    def __init__(self, zoo: Path, settings: Settings) -> None:
        self._zoo, self._settings = zoo, settings
        self._cache = StateCache(settings.max_state_bytes)
        self._served: dict[str, Served] = {}
        self._shown: dict[str, Shown] = {}
        self._last: dict[str, Signature] = {}
        self._refreshing = threading.Lock()

    def refresh(self, settled: bool = False) -> list[str]:
        """Look at the zoo once, and open what changed; returns the directories whose model is another now.

        A change counts when two looks in a row saw the same, so that nothing is opened while it is copied, or dropped
        in the moment between two renames; unless it is `settled`. Takes as long as verifying and loading takes.
        """
        with self._refreshing:
            seen = {folder.name: signature(folder) for folder in bundle_folders(self._zoo)}
            before, self._last = self._last, seen
            changed = []
            for id in sorted(seen.keys() | self._served.keys()):
                served, now = self._served.get(id), seen.get(id)
                if now == (served and served.signature) or not (settled or now == before.get(id)):
                    continue
                replaced = self._replace(id, served, now)
                self._shown = _show(self._served)
                changed += [id] * replaced
            return changed

    def _replace(self, id: str, served: Served | None, now: Signature | None) -> bool:
        """Bring one directory up to date; whether its model is another now."""
        if now is None:
            del self._served[id]
            log.info("model %s is gone", id)
            return True
        model = open_model(self._zoo / id, self._settings, self._cache)
        if signature(self._zoo / id) != now:
            return False  # it changed while it was opened, so nobody knows what was: the next look begins again
        if isinstance(model, Model):
            self._served[id] = Served(now, model)
            log.info("model %s is ready, digest %s", id, model.bundle.digest)
            return True
        log.warning("model %s is refused: %s", id, model.reason)
        if served and isinstance(served.model, Model):
            self._served[id] = Served(now, served.model, model.reason)
            return False
        self._served[id] = Served(now, model)
        return True

    def show(self, id: str) -> Shown:
        """The newest version of a name that can be used, or NAME@VERSION. Raises KeyError."""
        return self._shown[id]

    def __contains__(self, id: object) -> bool:
        """Whether it is the address of a model."""
        return id in self._shown

    def shown(self) -> list[Shown]:
        """Every name, once."""
        return [shown for id, shown in self._shown.items() if id == shown.model.id]


def open_models(zoo: Path, settings: Settings) -> Models:
    """Verify and load every bundle under `zoo`. One that fails does not keep the others from serving."""
    models = Models(zoo, settings)
    models.refresh(settled=True)
    return models


def open_model(folder: Path, settings: Settings, cache: StateCache | None = None) -> Model | Unavailable:
    """Verify and load one bundle, or say why it cannot be used. What it computes is remembered in `cache`, if any."""
    entry = open_entry(folder)
    if entry.bundle is None:
        return Unavailable(*_name_and_version(folder.name), str(entry.reason))
    try:
        engine = Engine.open(entry.bundle, settings.provider, settings.threads, settings.max_batch, cache)
        files = tuple(entry.bundle.example(index).read_bytes() for index in range(len(entry.bundle.manifest.examples)))
        return Model(*split_id(entry.id), entry.bundle, engine, _examples(entry.bundle), files)
    except Exception as error:  # whatever a bundle from elsewhere makes of being loaded, the others go on
        return Unavailable(*split_id(entry.id), str(error) or type(error).__name__)


def signature(folder: Path) -> Signature:
    """What tells that a bundle was replaced or written to, without reading it. What is gone meanwhile is left out."""
    files = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            try:
                status = os.stat(path)
            except FileNotFoundError:
                continue
            files.append((path, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(sorted(files))


def _show(served: Mapping[str, Served]) -> dict[str, Shown]:
    """Every address of what is served: names in order, each with the newest version that can be used."""
    names: dict[str, dict[int, Served]] = {}
    for id in sorted(served):  # NAME comes before NAME@1, which is the same version, and wins
        names.setdefault(served[id].model.id, {}).setdefault(served[id].model.version, served[id])
    shown = {}
    for name, versions in names.items():
        usable = [version for version, one in versions.items() if isinstance(one.model, Model)]
        newest = max(usable or versions)
        for version, one in sorted(versions.items()):
            shown[f"{name}@{version}"] = Shown(f"{name}@{version}", one.model, tuple(sorted(versions)), _warn(one))
        warnings = [_warn(one) for version, one in sorted(versions.items()) if version >= newest]
        told = "; ".join(filter(None, warnings)) or None
        shown[name] = Shown(name, versions[newest].model, tuple(sorted(versions)), told)
    return shown


def _warn(one: Served) -> str | None:
    """Why the newest that lies in the zoo is not what is served."""
    if one.refused:
        return f"The bundle that replaced this one is refused: {one.refused}"
    return f"Version {one.model.version} is refused: {one.model.reason}" if isinstance(one.model, Unavailable) else None


def _name_and_version(id: str) -> tuple[str, int]:
    try:
        return split_id(id)
    except ValueError:  # the reason why it is unavailable
        return id, 1


def _examples(bundle: Bundle) -> Pixels:
    image = bundle.manifest.image
    shape = (image.height, image.width, image.channels)
    examples = np.zeros((len(bundle.manifest.examples), *shape), np.uint8)
    for index, example in enumerate(bundle.manifest.examples):
        pixels = read_image(bundle.example(index), image.channels)
        if pixels.shape != shape:
            raise ValueError(f"{example.file} is {pixels.shape[0]}x{pixels.shape[1]}; expected {shape[0]}x{shape[1]}")
        examples[index] = pixels
    return examples
