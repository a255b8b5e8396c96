"""The REST API, put together: one module of routes for each kind of call, and what surrounds them all.

Everything that decides what an image looks like lies in the core; a route turns HTTP into a recipe and back.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from server.auth import Authentication
from server.backend import Backend
from server.encode_api import install_encode
from server.health_api import VERSION, install_health
from server.inspect_api import install_inspect
from server.jobs_api import install_jobs
from server.middleware import REQUEST_ID, Draining, Patience, RequestContext
from server.models_api import install_models
from server.observe import Observe
from server.openapi import install_openapi
from server.problems import install_handlers
from server.publishing import kept_up_to_date
from server.rate import RateLimit, RateLimited
from server.sample_api import install_sample
from server.service import Service
from server.settings import Settings
from server.tracing import Tracing


def create_app(
    zoo: Path,
    settings: Settings,
    fresh_seed: Callable[[], int] = lambda: secrets.randbelow(2**32),
    backend: Backend | None = None,
    tracing: Tracing | None = None,
) -> FastAPI:
    """The server for the bundles under `zoo`. They are verified and loaded here, before the first request.

    `fresh_seed` is asked for a seed when a recipe has none; `backend` works in threads of this process, if left out;
    `tracing` is as the settings say. Raises TokenError and OSError (tokens that are none) and TracingError.
    """
    service = Service(zoo, settings, fresh_seed, backend, tracing)
    app = FastAPI(
        title="Strata",
        version=VERSION,
        summary="Sample deep hierarchical VAEs, level by level",
        docs_url=None,
        redoc_url=None,
        lifespan=lambda app: kept_up_to_date(service.models, settings.poll_zoo_s),
    )
    surround(app, service)
    app.state.service = service
    install_handlers(app)
    install_openapi(app, settings)
    for install in (install_models, install_sample, install_encode, install_inspect, install_jobs, install_health):
        install(app, service)
    return app


def surround(app: FastAPI, service: Service) -> None:
    """Put the middleware around the routes, innermost first."""
    settings = service.settings
    if settings.rate:
        app.add_middleware(RateLimited, limit=RateLimit(settings.rate, settings.rate_burst))
    open_too = frozenset({"/metrics"} if settings.metrics_open else ())
    app.add_middleware(Authentication, tokens=settings.read_tokens(), also_open=open_too)
    app.add_middleware(Draining, draining=lambda: service.draining)
    app.add_middleware(Patience, seconds=settings.read_seconds)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[origin.strip() for origin in settings.cors_origins.split(",")],
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["ETag", "RateLimit", "Retry-After", "Server-Timing", "X-Model-Digest", REQUEST_ID],
        )
    app.add_middleware(RequestContext)
    app.add_middleware(Observe, metrics=service.metrics, tracing=service.tracing, knows=service.knows)
