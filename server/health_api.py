"""Whether the server is alive and ready, and what is where."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse

from server.docs_page import render_docs
from server.models import Unavailable
from server.openapi import problems
from server.problems import Problem
from server.service import Service

VERSION = "0.1.0"


def install_health(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", tags=["health"], summary="The process is alive")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], summary="At least one model can be sampled", responses=problems(503))
    def readyz() -> dict[str, Any]:
        models = {shown.id: shown.model for shown in service.models.shown()}
        broken = {id: model.reason for id, model in models.items() if isinstance(model, Unavailable)}
        if len(broken) == len(models):
            reasons = "; ".join(f"{id}: {reason}" for id, reason in broken.items())
            raise Problem("unavailable", reasons or f"There is no bundle in {service.zoo.name}")
        return {"status": "ready", "models": {id: "unavailable" if id in broken else "ready" for id in models}}

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
        return HTMLResponse(render_docs(app.openapi(), address, service.default or service.settings.default_model))
