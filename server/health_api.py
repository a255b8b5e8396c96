"""Whether the server is alive and ready, and what is where.

These answer on the event loop, not in threads, so that they do not wait for a free one when all are busy.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from server.docs_page import render_docs
from server.metrics import CONTENT_TYPE_LATEST
from server.models import Unavailable
from server.openapi import problems
from server.problems import Problem, stopping
from server.service import Service

VERSION = "0.1.0"


def install_health(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", tags=["health"], summary="The process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], summary="At least one model can be sampled", responses=problems(503))
    async def readyz() -> dict[str, Any]:
        if service.draining:
            raise stopping()
        models = {shown.id: shown.model for shown in service.models.shown()}
        broken = {id: model.reason for id, model in models.items() if isinstance(model, Unavailable)}
        if len(broken) == len(models):
            reasons = "; ".join(f"{id}: {reason}" for id, reason in broken.items())
            raise Problem("unavailable", reasons or f"There is no bundle in {service.zoo.name}")
        return {"status": "ready", "models": {id: "unavailable" if id in broken else "ready" for id in models}}

    @app.get("/metrics", tags=["health"], summary="Figures for Prometheus", response_class=PlainTextResponse)
    async def metrics() -> Response:
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @app.get("/", tags=["health"], summary="What is where")
    async def discover() -> dict[str, str]:
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
        return HTMLResponse(render_docs(app.openapi(), address, service.default or service.settings.default_model))
