"""Every call as data: what to send, and how to read the answer. Both clients, async and blocking, send these."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import httpx
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from app.client.answers import (
    Answer,
    Encoding,
    Gallery,
    Job,
    Ladder,
    Progressive,
    RateMaps,
    Recipe,
    Sensitivity,
)
from app.client.cards import Models
from app.client.errors import ApiError

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
Arrays = dict[str, NDArray[Any]]

JSON = {"Content-Type": "application/json", "Accept": "application/json"}
NPZ = {"Content-Type": "application/json", "Accept": "application/x-npz"}


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and the function that reads what it is answered with."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    content: bytes | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def models() -> Call[Models]:
    return Call("GET", "/v1/models", reader(Models))


def file(url: str) -> Call[bytes]:
    """The bytes at an address that the server named."""
    return Call("GET", url, lambda response: response.content)


def sample(model: str, recipe: Recipe) -> Call[Answer]:
    return Call("POST", f"/v1/models/{model}/sample", reader(Answer), body(recipe), headers=JSON)


def sample_arrays(model: str, recipe: Recipe) -> Call[Arrays]:
    return Call("POST", f"/v1/models/{model}/sample", _arrays, body(recipe), headers=NPZ)


def restore(model: str, token: str) -> Call[Answer]:
    return Call(
        "GET", f"/v1/models/{model}/sample", reader(Answer), params={"r": token}, headers={"Accept": JSON["Accept"]}
    )


def encode(model: str, image: bytes | int, media_type: str) -> Call[Encoding]:
    """An image file, or the number of a test image."""
    content = image if isinstance(image, bytes) else body({"example": image})
    headers = {**JSON, "Content-Type": media_type} if isinstance(image, bytes) else JSON
    return Call("POST", f"/v1/models/{model}/encode", reader(Encoding), content, headers=headers)


def ladder(model: str, recipe: Recipe, options: Mapping[str, Any]) -> Call[Ladder]:
    return _inspect(model, Ladder, {"kind": "ladder_grid", "recipe": recipe, **options})


def rate_maps(model: str, subject: Mapping[str, Any]) -> Call[RateMaps]:
    return _inspect(model, RateMaps, {"kind": "kl", "subject": subject})


def progressive(model: str, subject: Mapping[str, Any], options: Mapping[str, Any]) -> Call[Progressive]:
    return _inspect(model, Progressive, {"kind": "progressive", "subject": subject, **options})


def sensitivity(model: str, recipe: Recipe, options: Mapping[str, Any]) -> Call[Sensitivity]:
    return _inspect(model, Sensitivity, {"kind": "sensitivity", "recipe": recipe, **options})


def gallery(model: str, recipes: Sequence[Recipe]) -> Call[Gallery]:
    return _inspect(model, Gallery, {"kind": "gallery", "recipes": recipes})


def inspect_arrays(model: str, question: Mapping[str, Any]) -> Call[Arrays]:
    return Call("POST", f"/v1/models/{model}/inspect", _arrays, body(question), headers=NPZ)


def submit(request: Mapping[str, Any]) -> Call[Job]:
    return Call("POST", "/v1/jobs", reader(Job), body(request), headers=JSON)


def job(id: str) -> Call[Job]:
    return Call("GET", f"/v1/jobs/{id}", reader(Job))


def cancel(id: str) -> Call[None]:
    return Call("DELETE", f"/v1/jobs/{id}", lambda response: None)


def body(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def reader(shape: type[M]) -> Callable[[httpx.Response], M]:
    return lambda response: read(shape, response.content)


def read(shape: type[M], content: bytes) -> M:
    """A JSON answer in its shape. Raises ApiError where it has another."""
    try:
        return shape.model_validate_json(content)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ApiError("broken", f"The server's answer is not understood: {where} is wrong or missing.") from error


def _inspect(model: str, shape: type[M], question: Mapping[str, Any]) -> Call[M]:
    return Call("POST", f"/v1/models/{model}/inspect", reader(shape), body(question), headers=JSON)


def _arrays(response: httpx.Response) -> Arrays:
    with np.load(io.BytesIO(response.content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
