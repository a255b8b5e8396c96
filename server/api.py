"""The REST API: HTTP to recipes and back. Everything that decides what an image looks like lies in the core.

Inference runs in one worker thread at a time, because one decode already uses every core it was given; requests
that cannot be worked on soon are refused at once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import anyio
import anyio.to_thread
import onnxruntime
from fastapi import FastAPI, Query, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from server.answers import (
    JSON,
    MEDIA_TYPES,
    NPZ,
    PNG,
    SampleAnswer,
    Timing,
    image_answers,
    npz,
    one_png,
    recipe_fields,
    sheet_answer,
)
from server.card import Card, ModelList, UnavailableCard, make_card
from server.docs_page import render_docs
from server.encode_api import install_encode
from server.latents import LatentsStore
from server.middleware import RequestContext
from server.models import Model, Unavailable, open_models
from server.noise import RNG
from server.openapi import describe_sample, install_openapi, problems
from server.permalink import from_token, recipe_id
from server.plan import Floats
from server.problems import Problem, install_handlers
from server.recipe import Recipe, parse, sources
from server.requests import accepted, matches, read_body, sent_type
from server.resolve import Resolved, resolve
from server.sample import sample
from server.settings import Settings
from server.sources import OwnImage, StoredLatents

VERSION = "0.1.0"

Stored = Mapping[str, Floats]  # latents [N] that a recipe names, by their id


@dataclass(frozen=True)
class Timed:
    """A finished answer: its bytes or document, and the milliseconds that decoding and everything took."""

    body: bytes | dict[str, Any]
    decode_ms: float
    total_ms: float


def create_app(
    zoo: Path, settings: Settings, fresh_seed: Callable[[], int] = lambda: secrets.randbelow(2**32)
) -> FastAPI:
    """The server for the bundles under `zoo`. They are verified and loaded here, before the first request.

    `fresh_seed` is asked for a seed when a recipe has none.
    """
    models = open_models(zoo, settings)
    limiter = anyio.CapacityLimiter(1)
    store = LatentsStore(settings.max_latents_bytes)
    app = FastAPI(
        title="Strata",
        version=VERSION,
        summary="Sample deep hierarchical VAEs, level by level",
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(RequestContext)
    install_handlers(app)
    install_openapi(app)

    def find(model_id: str) -> Model | Unavailable:
        if model_id not in models:
            raise Problem("not-found", f"There is no such model; there is {', '.join(models) or 'none'}")
        return models[model_id]

    def find_ready(model_id: str) -> Model:
        model = find(model_id)
        if isinstance(model, Unavailable):
            raise Problem("unavailable", model.reason)
        return model

    async def run(work: Callable[..., Any], *arguments: Any) -> Any:
        if limiter.statistics().tasks_waiting >= settings.max_waiting:
            raise Problem("busy", "Try again in a second", headers={"Retry-After": "1"})
        return await anyio.to_thread.run_sync(work, *arguments, limiter=limiter)

    async def answer(
        model: Model, recipe: Resolved, stored: Stored, media_type: str, headers: dict[str, str]
    ) -> Response:
        timed: Timed = await run(make_answer, model, recipe, stored, media_type)
        headers |= {
            "Vary": "Accept",
            "X-Model-Digest": model.bundle.digest,
            "Server-Timing": f"decode;dur={timed.decode_ms:.1f}, total;dur={timed.total_ms:.1f}",
        }
        if isinstance(timed.body, bytes):
            return Response(timed.body, headers=headers, media_type=media_type)
        return JSONResponse(timed.body, headers=headers)

    ready = [model.id for model in models.values() if isinstance(model, Model)]
    default = settings.default_model if settings.default_model in ready else next(iter(ready), None)

    @app.get("/v1/models", tags=["models"], summary="All models, and the one to show first")
    def list_models() -> ModelList:
        return ModelList(data=[make_card(model, settings.max_images) for model in models.values()], default=default)

    @app.get("/v1/models/{model_id}", tags=["models"], summary="The card of one model", responses=problems(404))
    def show_model(model_id: str) -> Card | UnavailableCard:
        return make_card(find(model_id), settings.max_images)

    @app.get(
        "/v1/models/{model_id}/examples/{index:int}",
        tags=["models"],
        summary="A test image of the model, as PNG",
        response_class=Response,
        responses={200: {"content": {PNG: {}}}, **problems(404, 503)},
    )
    def show_example(model_id: str, index: int, request: Request) -> Response:
        bundle = find_ready(model_id).bundle
        try:
            content = bundle.example(index).read_bytes()
        except IndexError as error:
            raise Problem("not-found", str(error)) from None
        headers = {"ETag": f'"{bundle.digest[:16]}-{index}"', "Cache-Control": "private, no-cache"}
        if matches(request.headers.get("if-none-match"), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=PNG, headers=headers)

    @app.post("/v1/models/{model_id}/sample", **describe_sample(body=True))
    async def sample_images(model_id: str, request: Request) -> Response:
        model, media_type = find_ready(model_id), accepted(request)
        sent_type(request, (JSON,))
        recipe = parse(await read_body(request, settings.max_body_bytes))
        resolved, stored = await settle(model, recipe)
        return await answer(model, resolved, stored, media_type, {"Cache-Control": "no-store"})

    @app.get("/v1/models/{model_id}/sample", **describe_sample(body=False))
    async def sample_permalink(model_id: str, request: Request, r: Annotated[str, Query()]) -> Response:
        model, media_type = find_ready(model_id), accepted(request)
        recipe = parse(from_token(r))
        resolved, stored = await settle(model, recipe)
        if recipe.source is None:  # another seed each time, so there is nothing to cache
            return await answer(model, resolved, stored, media_type, {"Cache-Control": "no-store"})
        runtime = f"{model.engine.provider}-{onnxruntime.__version__}"
        etag = f'"{recipe_id(resolved)[:32]}-{model.bundle.digest[:16]}-{runtime}-{MEDIA_TYPES.index(media_type)}"'
        headers = {"ETag": etag, "Cache-Control": "private, max-age=3600", "Vary": "Accept"}
        if matches(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        return await answer(model, resolved, stored, media_type, headers)

    async def settle(model: Model, recipe: Recipe) -> tuple[Resolved, Stored]:
        """The recipe resolved, and the latents that it names, so that none is forgotten before it is needed."""
        named = [source for source in sources(recipe) if isinstance(source, StoredLatents | OwnImage)]
        ids = {source.latents for source in named if isinstance(source, StoredLatents)}
        found = {id: store.get(model.bundle.digest, id) for id in ids}
        stored = {id: latents for id, latents in found.items() if latents is not None}
        work = partial(
            resolve,
            recipe,
            model.bundle.manifest,
            fresh_seed=fresh_seed,
            max_images=settings.max_images,
            stored=stored,
        )
        own = any(isinstance(source, OwnImage) for source in named)  # a large file takes its time to be read
        return (await run(work) if own else work()), stored

    install_encode(app, find_ready, run, store, settings)

    @app.get("/healthz", tags=["health"], summary="The process is alive")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], summary="At least one model can be sampled", responses=problems(503))
    def readyz() -> dict[str, Any]:
        if not ready:
            reasons = [f"{model.id}: {model.reason}" for model in models.values() if isinstance(model, Unavailable)]
            raise Problem("unavailable", "; ".join(reasons) or f"There is no bundle in {zoo.name}")
        return {"status": "ready", "models": {id: "ready" if id in ready else "unavailable" for id in models}}

    @app.get("/", tags=["health"], summary="What is where")
    def discover() -> dict[str, str]:
        return {
            "name": "strata",
            "version": VERSION,
            "models_url": "/v1/models",
            "docs_url": "/docs",
            "openapi_url": "/openapi.json",
        }

    @app.get("/docs", include_in_schema=False)
    def docs(request: Request) -> HTMLResponse:
        address = str(request.base_url).rstrip("/")
        return HTMLResponse(render_docs(app.openapi(), address, default or settings.default_model))

    return app


def make_answer(model: Model, recipe: Resolved, stored: Stored, media_type: str) -> Timed:
    """Sample a recipe and put it into the form that was asked for. Runs in a worker thread."""
    started = perf_counter()
    made = sample(model.engine, model.examples, recipe, recipe.output.include if media_type == NPZ else (), stored)
    decode_ms = 1e3 * (perf_counter() - started)
    if media_type == NPZ:
        return Timed(npz(model, recipe, made), decode_ms, 1e3 * (perf_counter() - started))
    if media_type == PNG:
        return Timed(one_png(model, recipe, made.images), decode_ms, 1e3 * (perf_counter() - started))
    document = SampleAnswer(
        model=model.id,
        digest=model.bundle.digest,
        **recipe_fields(recipe),
        images=image_answers(model, recipe, made.images),
        sheet=sheet_answer(model, recipe, made.images),
        levels_computed=len(model.bundle.manifest.levels),
        provider=model.engine.provider,
        rng=RNG,
        timing=Timing(decode_ms=decode_ms, total_ms=1e3 * (perf_counter() - started)),
    )
    return Timed(document.model_dump(mode="json"), decode_ms, document.timing.total_ms)
