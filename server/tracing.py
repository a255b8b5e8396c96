"""OpenTelemetry, where it is installed and switched on: a span a request, and in it one for waiting and one
for work.

Only its API is used: where spans go is said by whoever starts the server, as in `opentelemetry-instrument python -m
server`. Switched off, nothing of it is imported.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

Attributes = Mapping[str, str | int | float]


class TracingError(RuntimeError):
    """Tracing was asked for but is not installed."""


class Tracing:
    """`tracer` is an OpenTelemetry tracer, or None: then spans cost nothing and tell nobody."""

    def __init__(self, tracer: Any = None) -> None:
        self._tracer = tracer

    @classmethod
    def open(cls, wanted: bool) -> Tracing:
        """Raises TracingError where it is wanted but not there."""
        if not wanted:
            return cls()
        try:
            from opentelemetry import trace
        except ImportError:
            raise TracingError("tracing needs OpenTelemetry: pip install 'strata[otel]'") from None
        return cls(trace.get_tracer("strata.server"))

    def span(self, name: str, attributes: Attributes, request: Scope | None = None) -> AbstractContextManager[Any]:
        """A span around a block. The head of a `request` may continue the trace of whoever asks (`traceparent`)."""
        if self._tracer is None:
            return nullcontext()
        context = None
        if request is not None:
            from opentelemetry import propagate

            context = propagate.extract(Headers(scope=request))
        return self._tracer.start_as_current_span(name, context=context, attributes=attributes)

    def past(self, name: str, seconds: float, attributes: Attributes) -> None:
        """A span that ends now and began `seconds` ago."""
        if self._tracer is not None:
            began = time.time_ns() - int(1e9 * seconds)
            self._tracer.start_span(name, start_time=began, attributes=attributes).end()
