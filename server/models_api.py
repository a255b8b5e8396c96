"""GET models: what this server has, one card for each, and the test images that come with it."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Path, Request
from starlette.responses import Response

from server.answers import PNG
from server.card import Card, ModelList, UnavailableCard, make_card
from server.fields import MAX_DRAW
from server.openapi import problems
from server.problems import Problem
from server.requests import matches
from server.service import Service

Index = Annotated[int, Path(ge=0, le=MAX_DRAW)]


def install_models(app: FastAPI, service: Service) -> None:
    limit = service.settings.max_images

    @app.get("/v1/models", tags=["models"], summary="All models, and the one to show first")
    def list_models() -> ModelList:
        cards = [make_card(shown, limit) for shown in service.models.shown()]
        return ModelList(data=cards, default=service.default)

    @app.get("/v1/models/{model_id}", tags=["models"], summary="The card of one model", responses=problems(404))
    def show_model(model_id: str) -> Card | UnavailableCard:
        return make_card(service.show(model_id), limit)

    @app.get(
        "/v1/models/{model_id}/examples/{index}",
        tags=["models"],
        summary="A test image of the model, as PNG",
        response_class=Response,
        responses={200: {"content": {PNG: {}}}, **problems(404, 503)},
    )
    def show_example(model_id: str, index: Index, request: Request) -> Response:
        model = service.find_ready(model_id)
        if index >= len(model.files):
            raise Problem("not-found", f"This model has {len(model.files)} examples, counted from 0")
        headers = {"ETag": f'"{model.bundle.digest[:16]}-{index}"', "Cache-Control": "private, no-cache"}
        if matches(request.headers.get("if-none-match"), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(model.files[index], media_type=PNG, headers=headers)
