"""The client for programs that wait for several things at once; the explorer is one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import httpx
from pydantic import BaseModel

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
M = TypeVar("M", bound=BaseModel)

REMEMBERED_BYTES = 64 * 2**20


class Client:
    """Asks one server. Every method raises ApiError, and nothing else, when it gets no good answer.

    Samples and inspections are functions of model and question, so recent answers are remembered: undo and going
    back to a level that was looked at before ask for nothing. Where the server is busy, it is asked again when it
    says, as long as that takes less than `patience_s` in all.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        patience_s: float = 0.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`http` must have `base_url` set; `url` is the same address as people should write it in curl."""
        self.url = url.rstrip("/")
        self._http = http
        self._patience_s, self._sleep = patience_s, sleep
        self._remembered: OrderedDict[str, tuple[BaseModel, int]] = OrderedDict()  # with its weight in bytes
        self._bytes = 0

    @classmethod
    def connect(cls, url: str, timeout: float = 60.0, patience_s: float = 0.0) -> Client:
        # trust_env=False: a proxy in the environment must not see requests to a server of one's own
        http = httpx.AsyncClient(base_url=url, timeout=httpx.Timeout(timeout, connect=5.0), trust_env=False)
        return cls(http, url, patience_s)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def models(self) -> Models:
        return await self._ask(calls.models())

    async def example(self, card: Card, index: int) -> bytes:
        """The PNG of one of the bundle's own test images."""
        return await self._ask(calls.file(card.examples[index].url))

    async def sample(self, model: str, recipe: Recipe) -> Answer:
        """The images of a recipe."""
        return await self._recall(calls.sample(model, recipe))

    async def sample_arrays(self, model: str, recipe: Recipe) -> Arrays:
        """`pixels` [n, H, W, C] uint8, and what the recipe's `output.include` names."""
        return await self._ask(calls.sample_arrays(model, recipe))

    async def restore(self, model: str, token: str) -> Answer:
        """The images, and with them the resolved recipe, of a permalink's token."""
        return await self._ask(calls.restore(model, token))

    async def encode(self, model: str, image: bytes | int, media_type: str = "image/png") -> Encoding:
        """What an image file, or the test image of this number, costs; its latents become a source of recipes."""
        return await self._ask(calls.encode(model, image, media_type))

    async def ladder(self, model: str, recipe: Recipe, **options: Any) -> Ladder:
        """What each level controls: `rows`, `draws`, `show`, `first_draw`, `below`, `index`."""
        return await self._recall(calls.ladder(model, recipe, options))

    async def rate_maps(self, model: str, subject: Mapping[str, Any]) -> RateMaps:
        """Where the bits of an image go: `{"example": 0}`, `{"image": ..}`, `{"latents": ..}` or `{"recipe": ..}`."""
        return await self._recall(calls.rate_maps(model, subject))

    async def progressive(self, model: str, subject: Mapping[str, Any], **options: Any) -> Progressive:
        """How many levels an image needs: `steps`, `others`, `temperature`, `seed`, `scale`."""
        return await self._recall(calls.progressive(model, subject, options))

    async def sensitivity(self, model: str, recipe: Recipe, **options: Any) -> Sensitivity:
        """How much an image moves with the temperature of each level: `levels`, `step`, `index`."""
        return await self._ask(calls.sensitivity(model, recipe, options))

    async def gallery(self, model: str, recipes: Sequence[Recipe]) -> Gallery:
        """What several recipes make, in one call."""
        return await self._ask(calls.gallery(model, recipes))

    async def inspect_arrays(self, model: str, question: Mapping[str, Any]) -> Arrays:
        """Any inspection as arrays."""
        return await self._ask(calls.inspect_arrays(model, question))

    # --- jobs -------------------------------------------------------------------------------------------------------

    async def submit(self, request: Mapping[str, Any]) -> Job:
        """Send a job, such as `{"kind": "morph", "model": .., "keyframes": [..]}`."""
        return await self._ask(calls.submit(request))

    async def job(self, id: str) -> Job:
        """How far a job is."""
        return await self._ask(calls.job(id))

    async def cancel(self, id: str) -> None:
        """Call a job off and forget it, with its result if it has one."""
        await self._ask(calls.cancel(id))

    async def events(self, job: Job) -> AsyncIterator[Progress]:
        """What happens to a job, to its end. A connection that is lost is taken up again where it was."""
        reader, ended, lost = EventReader(), False, 0
        while not ended:
            before = reader.last_id
            try:
                async with self._http.stream("GET", job.events_url, headers={"Last-Event-ID": before}) as response:
                    if not response.is_success:
                        await response.aread()
                        raise error_of(response)
                    async for line in response.aiter_lines():
                        if (progress := reader.take(line)) is not None:
                            ended = progress.job is not None
                            yield progress
            except httpx.TransportError:
                pass  # counted below, as is a connection that ends too soon
            lost = lost + 1 if reader.last_id == before else 0
            if lost > LOST_IN_A_ROW:
                raise ApiError("unreachable", UNREACHABLE)
            if lost:
                await self._sleep(lost)

    async def wait(self, job: Job) -> Job:
        """The job when it is finished, whatever became of it."""
        async for progress in self.events(job):
            job = progress.job or job
        return job

    async def result(self, job: Job) -> bytes:
        """What a job made. Raises ApiError where it made nothing."""
        return await self._ask(calls.file(f"{job.url}/result"))

    async def make(self, request: Mapping[str, Any]) -> bytes:
        """Send a job, wait for it and fetch what it made."""
        return await self.result(await self.wait(await self.submit(request)))

    # --- around it --------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Forget all answers: a model may have been replaced."""
        self._remembered.clear()
        self._bytes = 0

    async def close(self) -> None:
        await self._http.aclose()

    async def _recall(self, call: Call[M]) -> M:
        """The answer as it was the last time, or else now."""
        key = f"{call.path} {(call.content or b'').decode()}"
        if key in self._remembered:
            self._remembered.move_to_end(key)
            return cast(M, self._remembered[key][0])
        response = await self._send(call)
        answer, weight = call.read(response), len(key) + len(response.content)
        self._bytes += weight - self._remembered.pop(key, (answer, 0))[1]  # another may have asked meanwhile
        self._remembered[key] = answer, weight
        while self._bytes > REMEMBERED_BYTES:
            self._bytes -= self._remembered.popitem(last=False)[1][1]
        return answer

    async def _ask(self, call: Call[T]) -> T:
        return call.read(await self._send(call))

    async def _send(self, call: Call[Any]) -> httpx.Response:
        left = self._patience_s
        while True:
            try:
                response = await self._http.request(
                    call.method, call.path, content=call.content, params=call.params, headers=call.headers
                )
            except httpx.TransportError as error:
                raise ApiError("unreachable", UNREACHABLE) from error
            if response.is_success:
                return response
            wait = seconds_to_wait(error_of(response), left)
            left -= wait
            await self._sleep(wait)
