"""The server as the explorer sees it: typed cards and answers, and one exception for whatever goes wrong.

Unknown keys in an answer are ignored, not refused as elsewhere: a newer server may say more than this page shows.
"""

from __future__ import annotations

import base64
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

Recipe = dict[str, Any]
T = TypeVar("T", bound=BaseModel)

UNREACHABLE = "The server does not answer. Your settings are kept in the link."
REMEMBERED_BYTES = 64 * 2**20


class Said(BaseModel):
    """Something the server said."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ImageSize(Said):
    height: int
    width: int
    channels: int
    bits: int = 8


class Level(Said):
    """Level `index`, counted from the top; `kl_bits` is its mean rate over the test set, if measured."""

    index: int
    label: str = ""
    channels: int
    height: int
    width: int
    group: str
    kl_bits: float | None = None

    @property
    def size(self) -> int:
        return self.channels * self.height * self.width


class Group(Said):
    """The levels of one resolution."""

    name: str
    height: int
    width: int
    levels: tuple[int, ...]
    kl_bits: float | None = None


class Example(Said):
    index: int
    label: str = ""
    url: str


class Metric(Said):
    estimator: str
    nats_per_image: float
    bits_per_dim: float
    split: str
    images: int
    note: str = ""


class TemperatureRange(Said):
    min: float = 0.0
    max: float = 1.5
    default: float = 1.0


class Limits(Said):
    max_images: int = 64


class Card(Said):
    """What the explorer builds itself from."""

    id: str
    state: Literal["ready", "unavailable"] = "ready"
    reason: str | None = None
    digest: str | None = None
    family: str = ""
    summary: str = ""
    dataset: str = ""
    image: ImageSize
    prior: Literal["normal", "bernoulli"] = "normal"
    levels: tuple[Level, ...]
    groups: tuple[Group, ...]
    latents: int
    examples: tuple[Example, ...] = ()
    metrics: tuple[Metric, ...] = ()
    temperature: TemperatureRange = TemperatureRange()
    limits: Limits = Limits()
    provider: str = "cpu"

    @property
    def bits(self) -> float | None:
        """The rate of all levels together, or None where one was not measured."""
        rates = [level.kl_bits for level in self.levels]
        return None if None in rates else sum(rate for rate in rates if rate is not None)

    def group_of(self, level: int) -> Group:
        return next(group for group in self.groups if level in group.levels)


class Unavailable(Said):
    """A bundle that the server found but cannot serve."""

    id: str
    state: Literal["unavailable"]
    reason: str | None = None


class Models(Said):
    data: tuple[Card | Unavailable, ...]
    default: str | None = None


class SampleImage(Said):
    """One PNG, as base64, with its own seed and digest."""

    index: int
    seed: int
    sha256: str
    height: int
    width: int
    data: str

    @property
    def png(self) -> bytes:
        return base64.b64decode(self.data)

    @property
    def url(self) -> str:
        """Exactly the server's bytes, for `<img src>`."""
        return "data:image/png;base64," + self.data


class Timing(Said):
    decode_ms: float = 0.0
    total_ms: float = 0.0


class Answer(Said):
    model: str
    digest: str | None = None
    recipe: Recipe
    recipe_id: str
    token: str
    images: tuple[SampleImage, ...]
    levels_computed: int
    provider: str = "cpu"
    timing: Timing = Timing()


class FieldFault(Said):
    """A field that the server would not take: a JSON pointer and a sentence."""

    pointer: str
    detail: str


Kind = Literal["unreachable", "busy", "not_ready", "refused", "broken"]


class ApiError(Exception):
    """The server could not or would not answer.

    `kind` says what to do about it: "busy" (429) and "not_ready" (503) come with `retry_after` seconds; "unreachable"
    is worth another try; "refused" (other 4xx) names the wrong `fields`; "broken" is the server's own fault.
    """

    def __init__(
        self, kind: Kind, sentence: str, *, fields: tuple[FieldFault, ...] = (), retry_after: float | None = None
    ) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.sentence = sentence
        self.fields = fields
        self.retry_after = retry_after


class Client:
    """Asks one server. Every method raises ApiError, and nothing else, when it gets no good answer.

    Samples are a function of model and recipe, so recent answers are remembered: undo and going back to a level
    that was looked at before ask for nothing.
    """

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        """`http` must have `base_url` set; `url` is the same address as people should write it in curl."""
        self.url = url.rstrip("/")
        self._http = http
        self._remembered: OrderedDict[str, Answer] = OrderedDict()
        self._bytes = 0

    @classmethod
    def connect(cls, url: str, timeout: float = 60.0) -> Client:
        # trust_env=False: a proxy in the environment must not see requests to a server of one's own
        http = httpx.AsyncClient(base_url=url, timeout=httpx.Timeout(timeout, connect=5.0), trust_env=False)
        return cls(http, url)

    async def models(self) -> Models:
        return _read(Models, await self._ask("GET", "/v1/models"))

    async def example(self, card: Card, index: int) -> bytes:
        """The PNG of one of the bundle's own test images."""
        return (await self._ask("GET", card.examples[index].url)).content

    async def sample(self, model: str, recipe: Recipe) -> Answer:
        """The images of a recipe."""
        body = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
        key = f"{model} {body}"
        if key in self._remembered:
            self._remembered.move_to_end(key)
            return self._remembered[key]
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        answer = _read(Answer, await self._ask("POST", f"/v1/models/{model}/sample", content=body, headers=headers))
        self._remember(key, answer)
        return answer

    async def restore(self, model: str, token: str) -> Answer:
        """The images, and with them the resolved recipe, of a permalink's token."""
        headers = {"Accept": "application/json"}
        return _read(Answer, await self._ask("GET", f"/v1/models/{model}/sample", params={"r": token}, headers=headers))

    def forget(self) -> None:
        """Forget all answers: a model may have been replaced."""
        self._remembered.clear()
        self._bytes = 0

    async def close(self) -> None:
        await self._http.aclose()

    def _remember(self, key: str, answer: Answer) -> None:
        self._remembered[key] = answer
        self._bytes += _weight(key, answer)
        while self._bytes > REMEMBERED_BYTES:
            self._bytes -= _weight(*self._remembered.popitem(last=False))

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        content: str | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        try:
            response = await self._http.request(method, path, content=content, params=params, headers=headers)
        except httpx.TransportError as error:
            raise ApiError("unreachable", UNREACHABLE) from error
        if response.is_success:
            return response
        raise _error(response)


def _weight(key: str, answer: Answer) -> int:
    return 4 * len(key) + sum(len(image.data) for image in answer.images)


def _read(shape: type[T], response: httpx.Response) -> T:
    try:
        return shape.model_validate_json(response.content)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ApiError("broken", f"The server's answer is not understood: {where} is wrong or missing.") from error


def _error(response: httpx.Response) -> ApiError:
    """What an application/problem+json body, or the bare status of something in between, means."""
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    fields = tuple(
        FieldFault(pointer=str(fault.get("pointer", "")), detail=str(fault.get("detail", "")))
        for fault in problem.get("errors") or []
        if isinstance(fault, dict)
    )
    sentence = str(problem.get("detail") or problem.get("title") or f"The server answered {response.status_code}.")
    kinds: dict[int, Kind] = {429: "busy", 503: "not_ready"}
    kind = kinds.get(response.status_code, "broken" if response.status_code >= 500 else "refused")
    return ApiError(kind, sentence, fields=fields, retry_after=_seconds(response) if kind in kinds.values() else None)


def _seconds(response: httpx.Response, otherwise: float = 2.0) -> float:
    """Retry-After in seconds; the HTTP date form is not used by this server."""
    try:
        return max(0.5, min(60.0, float(response.headers.get("Retry-After", otherwise))))
    except ValueError:
        return otherwise
