"""POST and GET sample: a recipe in, images out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic, perf_counter
from typing import Annotated, Any

import onnxruntime
from fastapi import FastAPI, Query, Request
from starlette.responses import JSONResponse, Response

from server.answers import JSON, MEDIA_TYPES, NPZ, PNG, npz, one_png, sample_answer
from server.call import Call, make_call
from server.models import Model
from server.openapi import describe_sample
from server.permalink import from_token, recipe_id
from server.recipe import parse
from server.requests import Direct, accepted, matches, read_body, sent_type
from server.resolve import Resolved
from server.sample import Sample, sample, sample_together
from server.service import Service, Stored

Token = Annotated[str, Query(pattern="^[A-Za-z0-9_-]+$")]


@dataclass(frozen=True)
class Timed:
    """A finished answer: its bytes or document, and the milliseconds that decoding and everything took."""

    body: bytes | dict[str, Any]
    decode_ms: float
    total_ms: float


def install_sample(app: FastAPI, service: Service) -> None:
    async def sample_images(model_id: str, request: Request) -> Response:
        model, media_type = service.find_ready(model_id), accepted(request)
        sent_type(request, (JSON,))
        content = await read_body(request, service.settings.max_body_bytes)
        service.refuse_when_full()
        recipe = parse(content)
        call = make_call(request)
        resolved, stored = await service.settle(call, model, recipe)
        return await answer(call, model, resolved, stored, media_type, {"Cache-Control": "no-store"})

    path, description = "/v1/models/{model_id}/sample", describe_sample(body=True)
    app.router.add_api_route(path, sample_images, methods=["POST"], route_class_override=Direct, **description)

    @app.get(path, **describe_sample(body=False))
    async def sample_permalink(model_id: str, request: Request, r: Token) -> Response:
        model, media_type = service.find_ready(model_id), accepted(request)
        service.refuse_when_full()
        recipe = parse(from_token(r))
        call = make_call(request)
        resolved, stored = await service.settle(call, model, recipe)
        if recipe.source is None:  # another seed each time, so there is nothing to cache
            return await answer(call, model, resolved, stored, media_type, {"Cache-Control": "no-store"})
        runtime = f"{model.engine.provider}-{onnxruntime.__version__}"
        etag = f'"{recipe_id(resolved)[:32]}-{model.bundle.digest[:16]}-{runtime}-{MEDIA_TYPES.index(media_type)}"'
        headers = {"ETag": etag, "Cache-Control": "private, max-age=3600", "Vary": "Accept"}
        if matches(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        return await answer(call, model, resolved, stored, media_type, headers)

    async def answer(
        call: Call, model: Model, recipe: Resolved, stored: Stored, media_type: str, headers: dict[str, str]
    ) -> Response:
        call = replace(call, cost=recipe.decodes)
        key = model.id, model.bundle.digest, recipe_id(recipe), media_type
        patience = None if call.deadline is None else call.deadline - monotonic()
        together = None if recipe.output.include else make_answers
        timed = await service.flights.run(
            key,
            lambda: service.run(call, make_answer, model, recipe, stored, media_type, together=together),
            patience,
        )
        headers |= {"Vary": "Accept", "X-Model-Digest": model.bundle.digest}
        if isinstance(timed.body, bytes):
            return Response(timed.body, headers=headers, media_type=media_type)
        return JSONResponse(timed.body, headers=headers)


def make_answer(model: Model, recipe: Resolved, stored: Stored, media_type: str) -> Timed:
    """Sample a recipe and put it into the form that was asked for. Work for the backend."""
    started = perf_counter()
    made = sample(model.engine, model.examples, recipe, recipe.output.include if media_type == NPZ else (), stored)
    return finish(model, recipe, made, media_type, started, perf_counter())


def make_answers(model: Model, orders: Sequence[tuple[Resolved, Stored, str]]) -> list[Timed]:
    """The same for several recipes that include no arrays, in one go."""
    started = perf_counter()
    recipes, stored, media_types = zip(*orders, strict=True)
    made = sample_together(model.engine, model.examples, recipes, stored)
    decoded = perf_counter()
    each = zip(recipes, made, media_types, strict=True)
    return [finish(model, recipe, one, media_type, started, decoded) for recipe, one, media_type in each]


def finish(model: Model, recipe: Resolved, made: Sample, media_type: str, started: float, decoded: float) -> Timed:
    """Images in the form that was asked for, which were begun and decoded at these times."""
    decode_ms = 1e3 * (decoded - started)
    if media_type == NPZ:
        return Timed(npz(model, recipe, made), decode_ms, 1e3 * (perf_counter() - started))
    if media_type == PNG:
        return Timed(one_png(model, recipe, made.images), decode_ms, 1e3 * (perf_counter() - started))
    document = sample_answer(model, recipe, made, decode_ms, 1e3 * (perf_counter() - started))
    return Timed(document.model_dump(mode="json"), decode_ms, document.timing.total_ms)
