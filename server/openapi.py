"""What FastAPI cannot see by itself: bodies that the routes read on their own, and errors as problem documents."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from server.answers import JSON, NPZ, PNG, EncodeAnswer, SampleAnswer
from server.images import FORMATS
from server.problems import KINDS, MEDIA_TYPE, ProblemDocument
from server.recipe import Recipe

# A stroke on 8x8 pixels, as PNG.
DRAWING = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAEUlEQVR4nGNgQAInTpDDAAMAUdcJYec8jO0AAAAASUVORK5CYII="
EXAMPLES: dict[str, dict[str, Any]] = {
    "Four images, a little cooler": {"source": {"seed": 1234}, "n": 4, "temperature": 0.8},
    "Roll level 3 again": {"source": {"seed": 1234}, "levels": {"3": {"draw": 1}}},
    "Cool from top to bottom": {
        "source": {"seed": 1234},
        "temperature": {"schedule": "linear", "from": 1.0, "to": 0.4},
    },
    "The coarse levels of another image": {
        "source": {"seed": 1234},
        "edits": [{"op": "swap", "levels": "1x1", "source": {"seed": 99}, "space": "noise"}],
    },
    "One corner of level 1 drawn again, a little cooler": {
        "source": {"seed": 1234},
        "edits": [
            {
                "op": "resample",
                "levels": [1],
                "draw": 1,
                "temperature": 0.7,
                "mask": {"resolution": 4, "rows": ["1100", "1100", "0000", "0000"]},
            }
        ],
    },
    "Half the way to another image": {
        "source": {"seed": 1234},
        "edits": [{"op": "interpolate", "levels": "1x1..4x4", "source": {"seed": 99}, "alpha": 0.5, "space": "noise"}],
    },
    "A drawing of one's own, its fine levels drawn anew": {
        "source": {"image": DRAWING, "seed": 7},
        "edits": [{"op": "keep", "levels": "1x1..4x4"}],
    },
    "A test image, its coarse levels kept": {
        "source": {"example": 0, "seed": 7},
        "n": 4,
        "edits": [{"op": "keep", "levels": "1x1..4x4"}],
    },
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
        examples = {name: {"value": recipe} for name, recipe in EXAMPLES.items()}
        recipe_body = {"required": True, "content": {JSON: {**_ref("Recipe"), "examples": examples}}}
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


def install_openapi(app: FastAPI) -> None:
    """Make /openapi.json complete: add the schemas that only this module names, drop FastAPI's own error shape."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
            schemas = document["components"]["schemas"]
            for model in (Recipe, SampleAnswer, EncodeAnswer, ProblemDocument):
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas |= schema.pop("$defs", {})
                schemas[model.__name__] = schema
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for path in document["paths"].values():
                for operation in path.values():
                    if JSON in operation["responses"].get("422", {}).get("content", {}):
                        del operation["responses"]["422"]
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _ref(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}
