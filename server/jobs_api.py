"""Jobs over HTTP: send one, look how far it is, be told as it goes on, fetch what it made, or call it off."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Literal

import anyio
from fastapi import FastAPI, Header, Request
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from pydantic import BaseModel, TypeAdapter
from starlette.responses import JSONResponse, Response

from server.answers import JSON
from server.call import make_call
from server.job_orders import media_type_of, order_of
from server.job_request import AnyJob, JobRequest
from server.job_runner import JobRunner
from server.jobs import Event, ForgottenJobError, Job, Jobs, State, TooManyJobsError, UnknownJobError
from server.openapi import describe_jobs, problems
from server.problems import KINDS, Problem
from server.recipe import RecipeError, fault, parse_as
from server.requests import matches, read_body, sent_type
from server.service import Service
from server.studio import Studio

PING_S = 15.0  # a proxy may close a connection on which nothing is said
JOB: TypeAdapter[AnyJob] = TypeAdapter(JobRequest)


class ResultAnswer(BaseModel):
    """What a job made, and where it is."""

    url: str
    media_type: str
    bytes: int
    sha256: str


class FailureAnswer(BaseModel):
    """Why a job failed, as a problem would say it."""

    type: str
    title: str
    detail: str


class JobAnswer(BaseModel):
    """A job as it is now. `done` and `total` count images."""

    id: str
    object: Literal["job"] = "job"
    kind: str
    model: str
    state: State
    done: int
    total: int
    created: datetime
    started: datetime | None
    finished: datetime | None
    url: str
    events_url: str
    result: ResultAnswer | None
    problem: FailureAnswer | None


def install_jobs(app: FastAPI, service: Service) -> None:
    settings = service.settings
    jobs = Jobs(
        lambda: datetime.now(UTC),
        lambda: secrets.token_urlsafe(12),
        max_open=settings.max_jobs,
        max_finished=settings.max_results,
        max_bytes=settings.max_result_bytes,
    )
    runner = JobRunner(service, jobs)

    @app.post(
        "/v1/jobs",
        status_code=202,
        tags=["jobs"],
        summary="Send a sample, an inspection or a morph to be made",
        responses=problems(400, 404, 413, 415, 422, 429, 503),
        openapi_extra=describe_jobs(),
    )
    async def send(request: Request) -> JobAnswer:
        sent_type(request, (JSON,))
        asked = parse_as(JOB, await read_body(request, settings.max_body_bytes))
        model = service.find_ready(asked.model)
        studio, media_type = Studio(service, make_call(request), model), media_type_of(asked)
        order = await order_of(studio, asked, settings.max_job_images)
        if media_type not in order.offers:
            raise RecipeError([fault(f"This can be made as {', '.join(order.offers)}", "media_type")])
        try:
            job = jobs.add(asked.kind, model.id, order.cost)
        except TooManyJobsError:
            detail = f"{settings.max_jobs} jobs wait or run already"
            raise Problem("busy", detail, headers={"Retry-After": "10"}) from None
        runner.submit(job, model, order, media_type)
        return JSONResponse(  # type: ignore[return-value]
            describe(job).model_dump(mode="json"), 202, {"Location": f"/v1/jobs/{job.id}", "Retry-After": "1"}
        )

    @app.get("/v1/jobs/{job_id}", tags=["jobs"], summary="How far a job is", responses=problems(404, 410))
    def show(job_id: str, response: Response) -> JobAnswer:
        job = find(jobs, job_id)
        response.headers["Cache-Control"] = "no-store"
        if job.open:
            response.headers["Retry-After"] = "1"
        return describe(job)

    @app.delete(
        "/v1/jobs/{job_id}",
        status_code=204,
        tags=["jobs"],
        summary="Call a job off and forget it, with its result if it has one",
        responses=problems(404, 410),
    )
    async def stop(job_id: str) -> None:
        jobs.stop(find(jobs, job_id))

    @app.get(
        "/v1/jobs/{job_id}/result",
        tags=["jobs"],
        summary="What a job made",
        response_class=Response,
        responses={
            200: {"description": "The file", "content": {"*/*": {}}},
            304: {"description": "The client has it already"},
            **problems(404, 409, 410),
        },
    )
    def result(job_id: str, request: Request) -> Response:
        job = find(jobs, job_id)
        if job.result is None:
            reason = job.failure.detail if job.failure else f"The job is {job.state}"
            raise Problem("not-finished", reason, headers={"Retry-After": "1"} if job.open else None)
        headers = {"ETag": f'"{job.result.sha256}"', "Cache-Control": "private, no-cache"}
        if matches(request.headers.get("if-none-match"), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(job.result.body, media_type=job.result.media_type, headers=headers)

    @app.get(
        "/v1/jobs/{job_id}/events",
        tags=["jobs"],
        summary="What happens to a job, as it happens",
        response_class=Response,
        responses={200: {"description": "Events", "content": {"text/event-stream": {}}}, **problems(404, 410)},
    )
    def events(job_id: str, last_event_id: Annotated[str, Header()] = "0") -> EventSourceResponse:
        last = int(last_event_id) if last_event_id.isascii() and last_event_id.isdigit() else 0
        return EventSourceResponse(follow(find(jobs, job_id), last), headers={"Cache-Control": "no-store"})


def find(jobs: Jobs, job_id: str) -> Job:
    """Raises Problem."""
    try:
        return jobs.get(job_id)
    except UnknownJobError:
        raise Problem("not-found", "There is no such job") from None
    except ForgottenJobError:
        raise Problem("gone", "The job was called off, or its result is forgotten; it can be sent again") from None


def describe(job: Job) -> JobAnswer:
    url = f"/v1/jobs/{job.id}"
    made, failure = job.result, job.failure
    return JobAnswer(
        **{name: getattr(job, name) for name in ("id", "kind", "model", "state", "done", "total")},
        **{name: getattr(job, name) for name in ("created", "started", "finished")},
        url=url,
        events_url=f"{url}/events",
        result=made
        and ResultAnswer(url=f"{url}/result", media_type=made.media_type, bytes=len(made.body), sha256=made.sha256),
        problem=failure
        and FailureAnswer(type=f"/problems/{failure.kind}", title=KINDS[failure.kind][1], detail=failure.detail),
    )


async def follow(job: Job, last: int) -> AsyncIterator[bytes]:
    """Every event after `last`, then those to come, to the one that ends the job."""
    while True:
        changed = job.changed
        for event in job.events[last:]:
            last = event.id
            yield _event(job, event)
        if last < len(job.events):
            continue  # more happened while these were sent
        if not job.open:
            return
        with anyio.move_on_after(PING_S) as waited:
            await changed.wait()
        if waited.cancelled_caught:
            yield KEEPALIVE_COMMENT


def _event(job: Job, event: Event) -> bytes:
    """An event says what was done by then; the last one has the whole job."""
    data = {"id": job.id, "done": event.done, "total": job.total}
    text = json.dumps(data) if event.kind == "progress" else describe(job).model_dump_json()
    return format_sse_event(event=event.kind, data_str=text, id=str(event.id))
