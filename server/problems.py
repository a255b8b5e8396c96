"""Errors as RFC 9457 problem documents. The table is the whole list of what a client can meet.

A problem never repeats the input (which may be huge, secret or NaN) and never shows a traceback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from server.cancel import Cancelled
from server.recipe import Fault, MalformedError, RecipeError

MEDIA_TYPE = "application/problem+json"
CLIENT_LEFT = 499  # nobody reads the answer; the number is what proxies write into their logs
MAX_ERRORS = 20  # more than a person reads, and no reply grows with a hostile request

KINDS: dict[str, tuple[int, str]] = {
    "malformed": (400, "The request cannot be read"),
    "unauthorised": (401, "A token is needed"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "This address does not do that"),
    "not-acceptable": (406, "None of the accepted media types can be made"),
    "slow": (408, "The request took too long to arrive"),
    "superseded": (409, "A newer request took the place of this one"),
    "not-finished": (409, "The job has no result"),
    "gone": (410, "The job is not remembered any more"),
    "too-large": (413, "The request body is too large"),
    "unsupported-media-type": (415, "The request body has the wrong media type"),
    "invalid-image": (422, "The image cannot be encoded"),
    "invalid-recipe": (422, "The recipe cannot be made into an image"),
    "busy": (429, "Too many requests are waiting"),
    "rate-limited": (429, "This client asks too often"),
    "internal": (500, "The server failed"),
    "unavailable": (503, "The model cannot be used"),
    "draining": (503, "The server stops"),
    "deadline": (504, "The time that the request gave is over"),
}


class FieldError(BaseModel):
    """One wrong field of the request."""

    pointer: str
    code: str
    detail: str


class ProblemDocument(BaseModel):
    """application/problem+json."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[FieldError] = []


class Problem(Exception):  # noqa: N818 - the RFC's word
    """Raise it anywhere behind a route to answer with the problem `kind` of the table."""

    def __init__(
        self, kind: str, detail: str, errors: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        self.kind, self.detail, self.errors, self.headers = kind, detail, errors, headers
        super().__init__(detail)

    def __reduce__(self) -> tuple[type[Problem], tuple[object, ...]]:
        return type(self), (self.kind, self.detail, self.errors, self.headers)  # it may come from a replica


def stopping() -> Problem:
    """What a server that stops answers to new work."""
    return Problem("draining", "Ask another server, or this one again", headers={"Retry-After": "5"})


def problem_response(problem: Problem, path: str, request_id: str) -> Response:
    status, title = KINDS[problem.kind]
    document = ProblemDocument(
        type=f"/problems/{problem.kind}",
        title=title,
        status=status,
        detail=problem.detail,
        instance=path,
        request_id=request_id,
        errors=[FieldError(**vars(fault)) for fault in problem.errors[:MAX_ERRORS]],
    )
    headers = {"Cache-Control": "no-store", **(problem.headers or {})}
    return JSONResponse(document.model_dump(), status, headers, MEDIA_TYPE)


async def answer_problem(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a problem where there is no route, nor an exception handler, around."""
    await problem_response(problem, scope["path"], scope["state"]["request_id"])(scope, receive, send)


def install_handlers(app: FastAPI) -> None:
    """Turn every known exception into its problem. What is unknown is left to the outermost middleware.

    The handlers are coroutines because Starlette sends plain functions to a thread, where a refusal would wait for
    the very work that it is refused for.
    """

    def answer(request: Request, problem: Problem) -> Response:
        return problem_response(problem, request.url.path, request.state.request_id)

    @app.exception_handler(Problem)
    async def _problem(request: Request, error: Problem) -> Response:
        return answer(request, error)

    @app.exception_handler(Cancelled)
    async def _left(request: Request, error: Cancelled) -> Response:
        return Response(status_code=CLIENT_LEFT)

    @app.exception_handler(MalformedError)
    async def _malformed(request: Request, error: MalformedError) -> Response:
        return answer(request, Problem("malformed", str(error)))

    @app.exception_handler(RecipeError)
    async def _recipe(request: Request, error: RecipeError) -> Response:
        count = len(error.faults)
        detail = error.faults[0].detail if count == 1 else f"{count} fields are wrong"
        return answer(request, Problem("invalid-recipe", detail, error.faults))

    @app.exception_handler(RequestValidationError)
    async def _parameter(request: Request, error: RequestValidationError) -> Response:
        if any(fault["loc"][0] == "path" for fault in error.errors()):
            return answer(request, Problem("not-found", "This address does not exist"))
        names = ", ".join(str(fault["loc"][-1]) for fault in error.errors())
        return answer(request, Problem("malformed", f"Wrong or missing parameter: {names}"))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return answer(request, Problem("not-found", "This address does not exist"))
        if error.status_code == 405:
            allow = ", ".join(_methods(app, request.url.path))
            return answer(request, Problem("method-not-allowed", f"It does {allow}", headers={"Allow": allow}))
        kinds = {status: kind for kind, (status, _) in KINDS.items()}
        kind = kinds.get(error.status_code, "internal")
        return answer(request, Problem(kind, str(error.detail), headers=error.headers))


def _methods(app: FastAPI, path: str) -> list[str]:
    """What an address does: of all its routes, where Starlette names the methods of the first alone."""
    routes = [route for route in app.routes if isinstance(route, Route) and route.path_regex.fullmatch(path)]
    return sorted({method for route in routes for method in route.methods or ()})
