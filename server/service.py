"""What every route works with: the models, what was encoded before, and the way into the worker thread.

Inference runs in one worker thread at a time, because one decode already uses every core it was given; requests
that cannot be worked on soon are refused at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from server.latents import LatentsStore
from server.models import Model, Unavailable, open_models
from server.plan import Floats
from server.problems import Problem
from server.recipe import Recipe, sources
from server.resolve import Resolved, resolve
from server.settings import Settings
from server.sources import OwnImage, StoredLatents

Stored = Mapping[str, Floats]  # latents [N] that a recipe names, by their id
Result = TypeVar("Result")


class Service:
    """The state of one server. Everything here may be used from any request."""

    def __init__(self, zoo: Path, settings: Settings, fresh_seed: Callable[[], int]) -> None:
        self.zoo, self.settings, self.fresh_seed = zoo, settings, fresh_seed
        self.models = open_models(zoo, settings)
        self.store = LatentsStore(settings.max_latents_bytes)
        self._limiter = anyio.CapacityLimiter(1)

    @property
    def ready(self) -> list[str]:
        """The ids of the models that can be sampled."""
        return [model.id for model in self.models.values() if isinstance(model, Model)]

    @property
    def default(self) -> str | None:
        """The model to show first."""
        wanted, ready = self.settings.default_model, self.ready
        return wanted if wanted in ready else next(iter(ready), None)

    def find(self, model_id: str) -> Model | Unavailable:
        if model_id not in self.models:
            raise Problem("not-found", f"There is no such model; there is {', '.join(self.models) or 'none'}")
        return self.models[model_id]

    def find_ready(self, model_id: str) -> Model:
        model = self.find(model_id)
        if isinstance(model, Unavailable):
            raise Problem("unavailable", model.reason)
        return model

    async def run(self, work: Callable[..., Result], *arguments: object) -> Result:
        """`work(*arguments)` in a worker thread. Raises Problem where too many wait already."""
        if self._limiter.statistics().tasks_waiting >= self.settings.max_waiting:
            raise Problem("busy", "Try again in a second", headers={"Retry-After": "1"})
        return await anyio.to_thread.run_sync(work, *arguments, limiter=self._limiter)

    async def settle(self, model: Model, recipe: Recipe) -> tuple[Resolved, Stored]:
        """The recipe resolved, and the latents that it names, so that none is forgotten before it is needed."""
        named = [source for source in sources(recipe) if isinstance(source, StoredLatents | OwnImage)]
        ids = {source.latents for source in named if isinstance(source, StoredLatents)}
        found = {id: self.store.get(model.bundle.digest, id) for id in ids}
        stored = {id: latents for id, latents in found.items() if latents is not None}
        work = partial(
            resolve,
            recipe,
            model.bundle.manifest,
            fresh_seed=self.fresh_seed,
            max_images=self.settings.max_images,
            stored=stored,
        )
        own = any(isinstance(source, OwnImage) for source in named)  # a large file takes its time to be read
        return (await self.run(work) if own else work()), stored
