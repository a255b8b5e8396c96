"""The REST API, put together: one module of routes for each kind of call, and what surrounds them all.

Everything that decides what an image looks like lies in the core; a route turns HTTP into a recipe and back.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI

from server.encode_api import install_encode
from server.health_api import VERSION, install_health
from server.inspect_api import install_inspect
from server.jobs_api import install_jobs
from server.middleware import RequestContext
from server.models_api import install_models
from server.openapi import install_openapi
from server.problems import install_handlers
from server.publishing import kept_up_to_date
from server.sample_api import install_sample
from server.service import Service
from server.settings import Settings


def create_app(
    zoo: Path, settings: Settings, fresh_seed: Callable[[], int] = lambda: secrets.randbelow(2**32)
) -> FastAPI:
    """The server for the bundles under `zoo`. They are verified and loaded here, before the first request.

    `fresh_seed` is asked for a seed when a recipe has none.
    """
    service = Service(zoo, settings, fresh_seed)
    app = FastAPI(
        title="Strata",
        version=VERSION,
        summary="Sample deep hierarchical VAEs, level by level",
        docs_url=None,
        redoc_url=None,
        lifespan=lambda app: kept_up_to_date(service.models, settings.poll_zoo_s),
    )
    app.add_middleware(RequestContext)
    install_handlers(app)
    install_openapi(app)
    for install in (install_models, install_sample, install_encode, install_inspect, install_jobs, install_health):
        install(app, service)
    return app
