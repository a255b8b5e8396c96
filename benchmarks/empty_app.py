"""The least that FastAPI can do: read a small JSON body, answer with bytes. What Strata's server is compared with."""

from __future__ import annotations

import argparse

import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import Response


def create_app(size: int) -> FastAPI:
    """POST / answers with `size` bytes, whatever is sent."""
    app, content = FastAPI(), bytes(size)

    @app.post("/")
    async def empty(request: Request) -> Response:
        await request.body()
        return Response(content, media_type="image/png")

    @app.get("/health")
    async def health() -> str:
        return "ok"

    return app


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.empty_app", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--size", type=int, required=True, help="bytes of an answer")
    options = parser.parse_args()
    uvicorn.run(create_app(options.size), host="127.0.0.1", port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
