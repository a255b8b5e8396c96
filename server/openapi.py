"""What FastAPI cannot see by itself: bodies that the routes read on their own, and errors as problem documents."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from starlette.responses import Response

from server.answers import JSON, NPZ, PNG, EncodeAnswer, SampleAnswer
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

INSPECT_ANSWERS = (LadderAnswer, RateMapsAnswer, ProgressiveAnswer, SensitivityAnswer, GalleryAnswer)
SCHEMAS: dict[str, TypeAdapter[Any]] = {
    **{
        model.__name__: TypeAdapter(model)
        for model in (Recipe, SampleAnswer, EncodeAnswer, ProblemDocument, *INSPECT_ANSWERS)
    },
    "Inspect": TypeAdapter(Inspect),
    "JobRequest": TypeAdapter(JobRequest),
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these problems."""
    titles = dict(KINDS.values())
    return {
        status: {"description": titles[status], "content": {MEDIA_TYPE: _ref("ProblemDocument")}} for status in statuses
    }


def describe_sample(body: bool) -> dict[str, Any]:
    """The description of POST (with a body) and GET (with a token) /sample."""
    content = {JSON: _ref("SampleAnswer"), PNG: {}, NPZ: {}}
    description: dict[str, Any] = {
        "tags": ["sample"],
        "summary": "Images of a recipe" if body else "Images of a recipe in a permalink",
        "response_class": Response,
        "responses": {200: {"description": "Images, by Accept", "content": content}},
    }
    if body:
        recipe_body = {"required": True, "content": {JSON: {**_ref("Recipe"), "examples": _named(EXAMPLES)}}}
        description["openapi_extra"] = {"requestBody": recipe_body}
        description["responses"] |= problems(400, 404, 406, 413, 415, 422, 429, 503)
    else:
        description["responses"] |= {304: {"description": "The client has it already"}}
        description["responses"] |= problems(400, 404, 406, 422, 429, 503)
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
            200: {"description": "Figures or arrays, by Accept", "content": {JSON: _ref("EncodeAnswer"), NPZ: {}}},
            **problems(400, 404, 406, 413, 415, 422, 429, 503),
        },
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
    }


def describe_inspect() -> dict[str, Any]:
    """The description of POST /inspect."""
    body = {"required": True, "content": {JSON: {**_ref("Inspect"), "examples": _named(INSPECTIONS)}}}
    answers = {"schema": {"oneOf": [_ref(kind.__name__)["schema"] for kind in INSPECT_ANSWERS]}}
    content = {JSON: answers, PNG: {}, NPZ: {}}
    return {
        "tags": ["inspect"],
        "summary": "What the levels of a model do",
        "response_class": Response,
        "responses": {
            200: {"description": "A document, a picture or arrays, by Accept", "content": content},
            **problems(400, 404, 406, 413, 415, 422, 429, 503),
        },
        "openapi_extra": {"requestBody": body},
    }


def describe_jobs() -> dict[str, Any]:
    """The description of the body of POST /v1/jobs."""
    return {"requestBody": {"required": True, "content": {JSON: {**_ref("JobRequest"), "examples": _named(JOBS)}}}}


def install_openapi(app: FastAPI) -> None:
    """Make /openapi.json complete: add the schemas that only this module names, drop FastAPI's own error shape."""

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
            for path in document["paths"].values():
                for operation in path.values():
                    if JSON in operation["responses"].get("422", {}).get("content", {}):
                        del operation["responses"]["422"]
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _named(examples: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: {"value": value} for name, value in examples.items()}


def _ref(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}
