"""POST inspect: what the levels of a model do, in grids, maps, curves and numbers."""

from __future__ import annotations

from time import perf_counter

from fastapi import FastAPI, Request
from pydantic import TypeAdapter
from starlette.responses import Response

from server.answers import JSON, NPZ, PNG
from server.call import make_call
from server.inspect_orders import inspection
from server.inspect_request import AnyInspect, Inspect
from server.openapi import describe_inspect
from server.recipe import parse_as
from server.requests import accepted, read_body, sent_type
from server.service import Service
from server.studio import Studio

INSPECT: TypeAdapter[AnyInspect] = TypeAdapter(Inspect)


def install_inspect(app: FastAPI, service: Service) -> None:
    @app.post("/v1/models/{model_id}/inspect", **describe_inspect())
    async def inspect(model_id: str, request: Request) -> Response:
        started = perf_counter()
        model = service.find_ready(model_id)
        accepted(request, (JSON, PNG, NPZ))
        sent_type(request, (JSON,))
        asked = parse_as(INSPECT, await read_body(request, service.settings.max_body_bytes))
        studio = Studio(service, make_call(request), model)
        order = await inspection(studio, asked, service.settings.max_inspect_images)
        media_type = accepted(request, order.offers)
        content = await order.make(studio, media_type)
        headers = {
            "Cache-Control": "no-store",
            "Vary": "Accept",
            "X-Model-Digest": model.bundle.digest,
            "Server-Timing": f"total;dur={1e3 * (perf_counter() - started):.1f}",
        }
        return Response(content, headers=headers, media_type=media_type)
