"""What Prometheus is told. Labels are route templates, ids of models and statuses: never what a client made up."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The figures of one server, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "strata_requests", "Requests answered", ("route", "method", "status", "model"), registry=self._registry
        )
        self.request_seconds = self._histogram("strata_request_seconds", "From a request to its answer", ("route",))
        self.queue_seconds = self._histogram("strata_queue_seconds", "Waiting for a worker", ("model",))
        self.infer_seconds = self._histogram("strata_infer_seconds", "Being worked on", ("model",))
        self.images = Counter("strata_images", "Images decoded or encoded", ("model",), registry=self._registry)
        self.rejected = Counter("strata_rejected", "Work refused or given up", ("reason",), registry=self._registry)
        self.batch_size = Histogram(
            "strata_batch_size", "Images of one run", ("model",), buckets=SIZES, registry=self._registry
        )

    def gauge(self, name: str, help: str, read: Callable[[], float]) -> None:
        """A figure that is read when it is asked for, such as the bytes of a cache."""
        Gauge(name, help, registry=self._registry).set_function(read)

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self._registry)

    def _histogram(self, name: str, help: str, labels: tuple[str, ...]) -> Histogram:
        return Histogram(name, help, labels, buckets=SECONDS, registry=self._registry)
