"""What FastAPI cannot see by itself: bodies that the routes read on their own, and errors as problem documents."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from starlette.responses import Response

from server.answers import JSON, NPZ, PNG, EncodeAnswer, SampleAnswer
from server.auth import ALWAYS_OPEN
from server.call import DEADLINE, MAX_KEY
from server.images import FORMATS
from server.inspect_answers import (
    GalleryAnswer,
    LadderAnswer,
    ProgressiveAnswer,
    RateMapsAnswer,
    SensitivityAnswer,
)
from server.inspect_request import Inspect
from server.job_request import JobRequest
from server.openapi_examples import DRAWING, EXAMPLES, INSPECTIONS, JOBS
from server.problems import KINDS, MEDIA_TYPE, ProblemDocument
from server.recipe import Recipe
from server.settings import Settings

INSPECT_ANSWERS = (LadderAnswer, RateMapsAnswer, ProgressiveAnswer, SensitivityAnswer, GalleryAnswer)
SCHEMAS: dict[str, TypeAdapter[Any]] = {
    **{
        model.__name__: TypeAdapter(model)
        for model in (Recipe, SampleAnswer, EncodeAnswer, ProblemDocument, *INSPECT_ANSWERS)
    },
    "Inspect": TypeAdapter(Inspect),
    "JobRequest": TypeAdapter(JobRequest),
}


# What may stand in the head of every request that asks for work, as server/call.py reads it.
CALL_HEADERS: list[dict[str, Any]] = [
    {
        "name": "X-Deadline-Ms",
        "in": "header",
        "description": "Answer within so many milliseconds, or 504",
        "schema": {"type": "string", "pattern": f"^{DEADLINE}$"},
    },
    {
        "name": "X-Supersede-Key",
        "in": "header",
        "description": "A newer request of the same client with the same key makes this one needless: 409",
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"},
    },
]
WORK_PROBLEMS = (400, 404, 406, 408, 409, 422, 429, 503, 504)  # of every route that asks for work


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these problems."""
    return {status: _problem(status) for status in statuses}


def _problem(status: int) -> dict[str, Any]:
    description = "; ".join(title for known, title in KINDS.values() if known == status)
    answer: dict[str, Any] = {"description": description, "content": {MEDIA_TYPE: _ref("ProblemDocument")}}
    if status == 401:
        answer["headers"] = {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}}
    if status == 429:
        answer["headers"] = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}}
    return answer


def describe_sample(body: bool) -> dict[str, Any]:
    """The description of POST (with a body) and GET (with a token) /sample."""
    content = {JSON: _ref("SampleAnswer"), PNG: {}, NPZ: {}}
    description: dict[str, Any] = {
        "tags": ["sample"],
        "summary": "Images of a recipe" if body else "Images of a recipe in a permalink",
        "operation_id": "sample_images" if body else "sample_permalink",
        "response_class": Response,
        "responses": {200: {"description": "Images, by Accept", "content": content}},
        "openapi_extra": {"parameters": CALL_HEADERS},
    }
    if body:
        recipe_body = {"required": True, "content": {JSON: {**_ref("Recipe"), "examples": _named(EXAMPLES)}}}
        description["openapi_extra"]["requestBody"] = recipe_body
        description["responses"] |= problems(*WORK_PROBLEMS, 413, 415)
        description["responses"][200]["links"] = {"permalink": _link("sample_permalink", r="$response.body#/token")}
    else:
        description["responses"] |= {304: {"description": "The client has it already"}}
        description["responses"] |= problems(*WORK_PROBLEMS)
    return description


def describe_encode() -> dict[str, Any]:
    """The description of POST /encode."""
    examples = {
        "A test image": {"value": {"example": 0}},
        "A drawing of one's own": {"value": {"image": DRAWING}},
    }
    schema = {
        "type": "object",
        "properties": {"example": {"type": "integer", "minimum": 0}, "image": {"type": "string", "minLength": 1}},
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
    binary = {"schema": {"type": "string", "format": "binary"}}
    content: dict[str, Any] = {JSON: {"schema": schema, "examples": examples}, **dict.fromkeys(FORMATS, binary)}
    return {
        "tags": ["encode"],
        "summary": "The latents of an image, and what they cost",
        "response_class": Response,
        "responses": {
            200: {
                "description": "Figures or arrays, by Accept",
                "content": {JSON: _ref("EncodeAnswer"), NPZ: {}},
                "links": {"sample": _link("sample_images", {"source": {"latents": "$response.body#/latents"}})},
            },
            **problems(*WORK_PROBLEMS, 413, 415),
        },
        "openapi_extra": {"requestBody": {"required": True, "content": content}, "parameters": CALL_HEADERS},
    }


def describe_inspect() -> dict[str, Any]:
    """The description of POST /inspect."""
    body = {"required": True, "content": {JSON: {**_ref("Inspect"), "examples": _named(INSPECTIONS)}}}
    answers = {"schema": {"oneOf": [_ref(kind.__name__)["schema"] for kind in INSPECT_ANSWERS]}}
    content = {JSON: answers, PNG: {}, NPZ: {}}
    return {
        "tags": ["inspect"],
        "operation_id": "inspect_levels",
        "summary": "What the levels of a model do",
        "response_class": Response,
        "responses": {
            200: {"description": "A document, a picture or arrays, by Accept", "content": content},
            **problems(*WORK_PROBLEMS, 413, 415),
        },
        "openapi_extra": {"requestBody": body, "parameters": CALL_HEADERS},
    }


def describe_jobs() -> dict[str, Any]:
    """The description of the body of POST /v1/jobs."""
    return {"requestBody": {"required": True, "content": {JSON: {**_ref("JobRequest"), "examples": _named(JOBS)}}}}


def install_openapi(app: FastAPI, settings: Settings) -> None:
    """Make /openapi.json complete: add the schemas that only this module names, and what every route may answer.

    FastAPI's own shape of errors is dropped.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
            schemas = document["components"]["schemas"]
            for name, adapter in SCHEMAS.items():
                schema = adapter.json_schema(ref_template="#/components/schemas/{model}")
                schemas |= schema.pop("$defs", {})
                schemas.setdefault(name, schema)
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    if JSON in operation["responses"].get("422", {}).get("content", {}):
                        del operation["responses"]["422"]
                    for status in _everywhere(path, settings):
                        operation["responses"].setdefault(str(status), _problem(status))
            if settings.has_tokens:
                _secure(document, settings)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _everywhere(path: str, settings: Settings) -> list[int]:
    """The statuses that what surrounds the routes may answer with."""
    statuses = [503] if path.startswith("/v1") else []
    if path not in ALWAYS_OPEN:
        statuses += [401] if settings.has_tokens else []
        statuses += [429] if settings.rate else []
    return statuses


def _secure(document: dict[str, Any], settings: Settings) -> None:
    document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"bearer": []}]
    for path in ALWAYS_OPEN | ({"/metrics"} if settings.metrics_open else set()):
        for operation in document["paths"][path].values():
            operation["security"] = []
            operation["responses"].pop("401", None)


def _link(operation: str, body: dict[str, Any] | None = None, **parameters: str) -> dict[str, Any]:
    """Where an answer leads: another call on the same model."""
    link: dict[str, Any] = {
        "operationId": operation,
        "parameters": {"model_id": "$request.path.model_id", **parameters},
    }
    return link | ({"requestBody": body} if body else {})


def _named(examples: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: {"value": value} for name, value in examples.items()}


def _ref(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}
