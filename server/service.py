"""What every route works with: the models, what was encoded before, and the way to where work is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from server.admission import Admission
from server.backend import Backend, open_backend
from server.call import Call
from server.dispatch import Dispatcher, Together
from server.latents import LatentsStore
from server.metrics import Metrics
from server.models import Model, Shown, Unavailable, open_models
from server.plan import Floats
from server.problems import Problem
from server.recipe import Recipe, sources
from server.resolve import Resolved, resolve
from server.settings import Settings
from server.single_flight import SingleFlight
from server.sources import OwnImage, StoredLatents
from server.tracing import Tracing

Stored = Mapping[str, Floats]  # latents [N] that a recipe names, by their id
Result = TypeVar("Result")

FEW = 4  # requests that may wait even where each takes long: a screen with several pictures asks for so many


class Service:
    """The state of one server. Everything here may be used from any request."""

    def __init__(
        self,
        zoo: Path,
        settings: Settings,
        fresh_seed: Callable[[], int],
        backend: Backend | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self.zoo, self.settings, self.fresh_seed = zoo, settings, fresh_seed
        self.models = open_models(zoo, settings)
        self.store = LatentsStore(settings.max_latents_bytes)
        self.flights = SingleFlight()
        self.metrics = Metrics()
        self.tracing = tracing or Tracing.open(settings.tracing)
        self.draining = False
        backend = backend or open_backend(settings)
        self.admission = Admission(backend.workers, settings.max_waiting, settings.max_queue_seconds, FEW)
        self._dispatcher = Dispatcher(backend, self.admission, self.tracing, self.metrics)
        self._watch_queue()

    @property
    def ready(self) -> list[str]:
        """The ids of the models that can be sampled."""
        return [shown.id for shown in self.models.shown() if isinstance(shown.model, Model)]

    @property
    def default(self) -> str | None:
        """The model to show first."""
        wanted, ready = self.settings.default_model, self.ready
        return wanted if wanted in ready else next(iter(ready), None)

    def show(self, model_id: str) -> Shown:
        """A model by NAME, which is the newest version of it, or by NAME@VERSION. Raises Problem."""
        try:
            return self.models.show(model_id)
        except KeyError:
            known = ", ".join(shown.id for shown in self.models.shown()) or "none"
            raise Problem("not-found", f"There is no such model; there is {known}") from None

    def knows(self, model_id: str) -> bool:
        """Whether there is a model of this name."""
        try:
            self.models.show(model_id)
        except KeyError:
            return False
        return True

    def find_ready(self, model_id: str) -> Model:
        model = self.show(model_id).model
        if isinstance(model, Unavailable):
            raise Problem("unavailable", model.reason)
        return model

    @property
    def idle(self) -> bool:
        """Whether nothing waits or is worked on."""
        return self._dispatcher.idle

    def stop_all(self) -> None:
        """Tell all work that it is no longer wanted."""
        self._dispatcher.stop_all()

    def full(self) -> bool:
        """Whether the queue has no place."""
        return self._dispatcher.full()

    def refuse_when_full(self) -> None:
        """Raises Problem where the queue has no place: asked before a body is even looked at."""
        self._dispatcher.refuse_when_full()

    async def run(
        self,
        call: Call,
        work: Callable[..., Result],
        model: Model,
        *arguments: object,
        together: Together | None = None,
    ) -> Result:
        """`work(model, *arguments)` where the backend does it, when its turn comes.

        Work that can be done for several requests in one go has a function for that, `together`. Raises Problem where
        there is no place in the queue, the call's deadline passes or a newer one takes its place; Cancelled where
        whoever asked has left or `call.cancel` was switched on; and whatever the work raises.
        """
        return await self._dispatcher.run(call, work, model, arguments, together)

    async def settle(
        self, call: Call, model: Model, recipe: Recipe, max_images: int | None = None
    ) -> tuple[Resolved, Stored]:
        """The recipe resolved, and the latents that it names, so that none is forgotten before it is needed.

        It may make `max_images`, or as many as the settings say.
        """
        named = [source for source in sources(recipe) if isinstance(source, StoredLatents | OwnImage)]
        ids = {source.latents for source in named if isinstance(source, StoredLatents)}
        found = {id: self.store.get(model.bundle.digest, id) for id in ids}
        stored = {id: latents for id, latents in found.items() if latents is not None}
        arguments = recipe, self.fresh_seed(), max_images or self.settings.max_images, frozenset(stored)
        files = sum(isinstance(source, OwnImage) for source in named)
        if not files:
            return make_resolved(model, *arguments), stored
        return await self.run(replace(call, cost=files), make_resolved, model, *arguments), stored

    def _watch_queue(self) -> None:
        gauge, admission = self.metrics.gauge, self.admission
        gauge("strata_queue_depth", "Work that waits", lambda: admission.waiting)
        gauge("strata_queue_seconds_ahead", "Until what waits is done", lambda: admission.queued_seconds)
        gauge("strata_running", "Work that is being done", lambda: admission.running)
        gauge("strata_models_ready", "Models that can be sampled", lambda: len(self.ready))


def make_resolved(model: Model, recipe: Recipe, seed: int, max_images: int, stored: frozenset[str]) -> Resolved:
    """Resolve a recipe, with `seed` if it has none. Work for the backend where images must be read for it."""
    manifest = model.bundle.manifest
    return resolve(recipe, manifest, fresh_seed=lambda: seed, max_images=max_images, stored=stored)
