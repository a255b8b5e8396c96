"""Where one request, or one job, has its images made: in parts, so that others get their turn in between.

A studio counts what is done, and stops when it is no longer wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from server.call import Call
from server.encode import Encoding, encode
from server.gallery import render, render_latents, render_means
from server.models import Model
from server.plan import Floats
from server.png import Pixels
from server.problems import Problem
from server.recipe import Recipe
from server.resolve import Resolved
from server.service import Service, Stored

BATCHES = 2  # of the engine in one part: a request that comes in between waits for no more than these

Result = TypeVar("Result")


class Studio:
    """Makes images of one model for one order.

    What it asks of the server, it asks as `call` says: in whose lane, and as long as it is wanted.
    """

    def __init__(
        self,
        service: Service,
        call: Call,
        model: Model,
        progress: Callable[[int], None] = lambda done: None,
        patient: bool = False,
    ) -> None:
        """`progress` is told how many images are done. One that is `patient` waits where the server is busy."""
        self.model = model
        self._service = service
        self._call = call
        self._progress = progress
        self._patient = patient
        self._done = 0
        self._started = perf_counter()

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the studio was opened."""
        return 1e3 * (perf_counter() - self._started)

    async def settle(self, recipe: Recipe, max_images: int | None = None) -> tuple[Resolved, Stored]:
        """A recipe resolved, and the latents that it names. Raises RecipeError."""
        return await self._service.settle(self._call, self.model, recipe, max_images)

    async def images(self, recipes: Sequence[Resolved], stored: Stored) -> Pixels:
        """The images of K recipes of one image each, [K, H, W, C] uint8."""
        return np.concatenate(await self._parts(render, recipes, stored))

    async def means(self, recipes: Sequence[Resolved], stored: Stored) -> NDArray[np.float64]:
        """Their mean images before they are rounded, [K, H, W, C], from 0 to 255."""
        return np.concatenate(await self._parts(render_means, recipes, stored))

    async def latents(self, recipes: Sequence[Resolved], stored: Stored) -> Floats:
        """Their latents, [K, N]."""
        return np.concatenate(await self._parts(render_latents, recipes, stored))

    def encoded_image(self, latents: str) -> Pixels | None:
        """The image [H, W, C] that was encoded to the latents with this id, if it is remembered."""
        return self._service.store.image(self.model.bundle.digest, latents)

    def remember(self, latents: Floats) -> str:
        """The id under which recipes may name these latents [N], as long as the server remembers them."""
        return self._service.store.put(self.model.bundle.digest, latents)

    async def encode(self, pixels: Pixels) -> Encoding:
        """One image [H, W, C] of the model's own size, encoded."""
        return await self._run(2, make_encoding, pixels)

    async def beside(self, work: Callable[..., Result], *arguments: object) -> Result:
        """`work(*arguments)`, which runs no model, in a thread beside: many recipes or files take their time too."""
        self._call.cancel.check()
        return await anyio.to_thread.run_sync(partial(work, *arguments))

    async def _parts(
        self, work: Callable[[Model, Sequence[Resolved], Stored], Result], recipes: Sequence[Resolved], stored: Stored
    ) -> list[Result]:
        size = BATCHES * self.model.engine.max_batch
        parts = []
        for start in range(0, len(recipes), size):
            part = recipes[start : start + size]
            cost = sum(recipe.decodes for recipe in part)
            parts.append(await self._run(cost, work, part, stored))
            self._done += cost
            self._progress(self._done)
        return parts

    async def _run(self, cost: int, work: Callable[..., Result], *arguments: Any) -> Result:
        while True:
            self._call.cancel.check()
            try:
                return await self._service.run(replace(self._call, cost=cost), work, self.model, *arguments)
            except Problem as problem:
                if problem.kind != "busy" or not self._patient:
                    raise
                await anyio.sleep(float((problem.headers or {}).get("Retry-After", 1)))


def make_encoding(model: Model, pixels: Pixels) -> Encoding:
    return encode(model.engine, pixels)
