"""The client for scripts and notebooks: the same calls, each returning when it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import httpx

from app.client import calls
from app.client.answers import (
    Answer,
    Encoding,
    Gallery,
    Job,
    Ladder,
    Progress,
    Progressive,
    RateMaps,
    Recipe,
    Sensitivity,
)
from app.client.calls import Arrays, Call
from app.client.cards import Card, Models
from app.client.errors import UNREACHABLE, ApiError, error_of, seconds_to_wait
from app.client.events import LOST_IN_A_ROW, EventReader

T = TypeVar("T")


class BlockingClient:
    """Asks one server. Every method raises ApiError, and nothing else, when it gets no good answer.

    Where the server is busy, it is asked again when it says, as long as that takes less than `patience_s` in all.
    """

    def __init__(
        self, http: httpx.Client, url: str, patience_s: float = 0.0, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """`http` must have `base_url` set; `url` is the same address as people should write it in curl."""
        self.url = url.rstrip("/")
        self._http = http
        self._patience_s, self._sleep = patience_s, sleep

    @classmethod
    def connect(cls, url: str, timeout: float = 60.0, patience_s: float = 60.0) -> BlockingClient:
        # trust_env=False: a proxy in the environment must not see requests to a server of one's own
        http = httpx.Client(base_url=url, timeout=httpx.Timeout(timeout, connect=5.0), trust_env=False)
        return cls(http, url, patience_s)

    def __enter__(self) -> BlockingClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def models(self) -> Models:
        return self._ask(calls.models())

    def example(self, card: Card, index: int) -> bytes:
        """The PNG of one of the bundle's own test images."""
        return self._ask(calls.file(card.examples[index].url))

    def sample(self, model: str, recipe: Recipe) -> Answer:
        """The images of a recipe."""
        return self._ask(calls.sample(model, recipe))

    def sample_arrays(self, model: str, recipe: Recipe) -> Arrays:
        """`pixels` [n, H, W, C] uint8, and what the recipe's `output.include` names."""
        return self._ask(calls.sample_arrays(model, recipe))

    def restore(self, model: str, token: str) -> Answer:
        """The images, and with them the resolved recipe, of a permalink's token."""
        return self._ask(calls.restore(model, token))

    def encode(self, model: str, image: bytes | int, media_type: str = "image/png") -> Encoding:
        """What an image file, or the test image of this number, costs; its latents become a source of recipes."""
        return self._ask(calls.encode(model, image, media_type))

    def ladder(self, model: str, recipe: Recipe, **options: Any) -> Ladder:
        """What each level controls: `rows`, `draws`, `show`, `first_draw`, `below`, `index`."""
        return self._ask(calls.ladder(model, recipe, options))

    def rate_maps(self, model: str, subject: Mapping[str, Any]) -> RateMaps:
        """Where the bits of an image go: `{"example": 0}`, `{"image": ..}`, `{"latents": ..}` or `{"recipe": ..}`."""
        return self._ask(calls.rate_maps(model, subject))

    def progressive(self, model: str, subject: Mapping[str, Any], **options: Any) -> Progressive:
        """How many levels an image needs: `steps`, `others`, `temperature`, `seed`, `scale`."""
        return self._ask(calls.progressive(model, subject, options))

    def sensitivity(self, model: str, recipe: Recipe, **options: Any) -> Sensitivity:
        """How much an image moves with the temperature of each level: `levels`, `step`, `index`."""
        return self._ask(calls.sensitivity(model, recipe, options))

    def gallery(self, model: str, recipes: Sequence[Recipe]) -> Gallery:
        """What several recipes make, in one call."""
        return self._ask(calls.gallery(model, recipes))

    def inspect_arrays(self, model: str, question: Mapping[str, Any]) -> Arrays:
        """Any inspection as arrays."""
        return self._ask(calls.inspect_arrays(model, question))

    # --- jobs -------------------------------------------------------------------------------------------------------

    def submit(self, request: Mapping[str, Any]) -> Job:
        """Send a job, such as `{"kind": "morph", "model": .., "keyframes": [..]}`."""
        return self._ask(calls.submit(request))

    def job(self, id: str) -> Job:
        """How far a job is."""
        return self._ask(calls.job(id))

    def cancel(self, id: str) -> None:
        """Call a job off and forget it, with its result if it has one."""
        self._ask(calls.cancel(id))

    def events(self, job: Job) -> Iterator[Progress]:
        """What happens to a job, to its end. A connection that is lost is taken up again where it was."""
        reader, ended, lost = EventReader(), False, 0
        while not ended:
            before = reader.last_id
            try:
                with self._http.stream("GET", job.events_url, headers={"Last-Event-ID": before}) as response:
                    if not response.is_success:
                        response.read()
                        raise error_of(response)
                    for line in response.iter_lines():
                        if (progress := reader.take(line)) is not None:
                            ended = progress.job is not None
                            yield progress
            except httpx.TransportError:
                pass  # counted below, as is a connection that ends too soon
            lost = lost + 1 if reader.last_id == before else 0
            if lost > LOST_IN_A_ROW:
                raise ApiError("unreachable", UNREACHABLE)
            if lost:
                self._sleep(lost)

    def wait(self, job: Job) -> Job:
        """The job when it is finished, whatever became of it."""
        for progress in self.events(job):
            job = progress.job or job
        return job

    def result(self, job: Job) -> bytes:
        """What a job made. Raises ApiError where it made nothing."""
        return self._ask(calls.file(f"{job.url}/result"))

    def make(self, request: Mapping[str, Any]) -> bytes:
        """Send a job, wait for it and fetch what it made."""
        return self.result(self.wait(self.submit(request)))

    # --- around it --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        self._http.close()

    def _ask(self, call: Call[T]) -> T:
        left = self._patience_s
        while True:
            try:
                response = self._http.request(
                    call.method, call.path, content=call.content, params=call.params, headers=call.headers
                )
            except httpx.TransportError as error:
                raise ApiError("unreachable", UNREACHABLE) from error
            if response.is_success:
                return call.read(response)
            wait = seconds_to_wait(error_of(response), left)
            left -= wait
            self._sleep(wait)
