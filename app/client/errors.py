"""The one exception for whatever goes wrong, and how to read it from an answer."""

from __future__ import annotations

from typing import Literal

import httpx

from app.client.cards import Said

UNREACHABLE = "The server does not answer. Your settings are kept in the link."


class FieldFault(Said):
    """A field that the server would not take: a JSON pointer and a sentence."""

    pointer: str
    detail: str


Kind = Literal["unreachable", "busy", "not_ready", "refused", "broken"]


class ApiError(Exception):
    """The server could not or would not answer.

    `kind` says what to do about it: "busy" (429) and "not_ready" (503) come with `retry_after` seconds; "unreachable"
    is worth another try; "refused" (other 4xx) names the wrong `fields`; "broken" is the server's own fault. Where the
    server did answer, `status` is its code, `problem` the type of the problem ("/problems/busy") and `request_id` what
    its log has it under.
    """

    def __init__(
        self,
        kind: Kind,
        sentence: str,
        *,
        fields: tuple[FieldFault, ...] = (),
        retry_after: float | None = None,
        status: int | None = None,
        problem: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.sentence = sentence
        self.fields = fields
        self.retry_after = retry_after
        self.status = status
        self.problem = problem
        self.request_id = request_id


def error_of(response: httpx.Response) -> ApiError:
    """What an application/problem+json body, or the bare status of something in between, means."""
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    fields = tuple(
        FieldFault(pointer=str(fault.get("pointer", "")), detail=str(fault.get("detail", "")))
        for fault in problem.get("errors") or []
        if isinstance(fault, dict)
    )
    sentence = str(problem.get("detail") or problem.get("title") or f"The server answered {response.status_code}.")
    kinds: dict[int, Kind] = {429: "busy", 503: "not_ready"}
    kind = kinds.get(response.status_code, "broken" if response.status_code >= 500 else "refused")
    return ApiError(
        kind,
        sentence,
        fields=fields,
        retry_after=_seconds(response) if kind in kinds.values() else None,
        status=response.status_code,
        problem=str(problem["type"]) if "type" in problem else None,
        request_id=response.headers.get("X-Request-Id"),
    )


def seconds_to_wait(error: ApiError, left: float) -> float:
    """How long a server that is busy wants one to wait. Raises the error where that is longer than `left`, or where
    waiting would not help."""
    if error.kind != "busy" or error.retry_after is None or error.retry_after > left:
        raise error
    return error.retry_after


def _seconds(response: httpx.Response, otherwise: float = 2.0) -> float:
    """Retry-After in seconds; the HTTP date form is not used by this server."""
    try:
        return max(0.5, min(60.0, float(response.headers.get("Retry-After", otherwise))))
    except ValueError:
        return otherwise
