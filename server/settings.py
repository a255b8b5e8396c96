"""What an operator may choose, from the environment (STRATA_PORT=8001) or the command line."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from model_zoo.zoo import BUNDLES
from server.auth import Tokens
from server.engine import Provider
from server.logs import LogFormat


def _cores() -> int:
    """The cores that this process may use; a container may have fewer than its machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Settings(BaseSettings):
    """Every field is also an environment variable STRATA_NAME."""

    model_config = SettingsConfigDict(env_prefix="STRATA_", extra="forbid", frozen=True)

    # where

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8000, ge=0, le=65535, description="port to listen on")
    zoo: Path = Field(default=BUNDLES, description="directory of bundles")
    poll_zoo_s: float = Field(default=2, ge=0, le=3600, description="seconds between looks at the zoo; 0 never looks")
    default_model: str = Field(default="vdvae-mnist", description="shown first, if it is ready")

    # how models run
    provider: Provider = Field(default="auto", description="auto uses CUDA where it really works")
    threads: int = Field(default_factory=_cores, ge=1, le=256, description="threads of one decode")
    backend: Literal["local", "ray"] = Field(default="local", description="where images are made")
    ray_address: str | None = Field(default=None, description="a Ray cluster to join; none starts one on this machine")
    ray_min_replicas: int = Field(default=1, ge=1, description="replicas of a Ray backend at rest")
    ray_max_replicas: int = Field(default=1, ge=1, description="replicas of a Ray backend under load")
    ray_cpus: float = Field(default=1, gt=0, description="cores of one replica")
    ray_gpus: float = Field(default=0, ge=0, description="GPUs of one replica; several may share one")
    ray_queue: int = Field(default=64, ge=1, description="calls that wait for a replica before others get 429")
    workers: int = Field(
        default_factory=lambda: max(2, _cores()), ge=1, le=256, description="requests, or batches of them, at once"
    )
    max_batch: int = Field(default=16, ge=1, le=1024, description="images decoded at once")

    # how large a request may be
    max_images: int = Field(default=64, ge=1, le=4096, description="images of one request")
    max_inspect_images: int = Field(default=1024, ge=1, description="images decoded for one inspection")
    max_job_images: int = Field(default=16384, ge=1, description="images decoded for one job")
    max_jobs: int = Field(default=32, ge=1, description="jobs that wait or run before others get 429")
    max_results: int = Field(default=256, ge=1, description="finished jobs that are remembered")
    max_result_bytes: int = Field(default=256 << 20, ge=0, description="memory for the results of finished jobs")
    max_body_bytes: int = Field(default=1 << 20, ge=1024, description="size of a request body")
    max_upload_bytes: int = Field(default=8 << 20, ge=1024, description="size of an image file sent to be encoded")
    max_latents_bytes: int = Field(default=256 << 20, ge=0, description="memory for latents encoded before")
    max_state_bytes: int = Field(default=256 << 20, ge=0, description="memory for what was computed before")

    # how much may wait, and for how long
    max_waiting: int = Field(default=64, ge=1, description="requests that wait before others get 429")
    max_queue_seconds: float = Field(default=0.05, gt=0, description="seconds of work that wait before others get 429")
    read_seconds: float = Field(default=30, gt=0, description="for the head of a request to arrive, and for its body")
    keep_alive_seconds: int = Field(default=30, ge=1, description="that a connection stays open between requests")
    max_connections: int = Field(default=1000, ge=1, description="connections open at once; others get 503")
    drain_seconds: float = Field(default=30, ge=0, description="for work that runs when the server is told to stop")

    # who may ask
    tokens: SecretStr = Field(default=SecretStr(""), description="hashes of tokens, separated by commas")
    tokens_file: Path | None = Field(default=None, description="file with the hash of a token and a name on each line")
    anonymous: bool = Field(default=False, description="serve other machines without tokens")
    metrics_open: bool = Field(default=False, description="/metrics needs no token")
    rate: float = Field(default=0, ge=0, description="requests a second of one client; 0 is no limit")
    rate_burst: int = Field(default=50, ge=1, description="requests of one client at once, where there is a rate")
    cors_origins: str = Field(default="", description="origins whose pages may ask, separated by commas")

    # what is told
    log_format: LogFormat = Field(default="text", description="text for people, json for machines")
    tracing: bool = Field(default=False, description="OpenTelemetry spans; needs the extra otel")

    @model_validator(mode="after")
    def _others_need_tokens(self) -> Self:
        if not (self.anonymous or self.has_tokens or _is_loopback(self.host)):
            raise ValueError(
                f"{self.host} is reached by other machines: set STRATA_TOKENS or STRATA_TOKENS_FILE, or "
                "STRATA_ANONYMOUS=true where something in front of this server decides who may ask"
            )
        return self

    @property
    def has_tokens(self) -> bool:
        return bool(self.tokens.get_secret_value() or self.tokens_file)

    def read_tokens(self) -> Tokens:
        """Raises TokenError (a line that is no hash) and OSError (no such file)."""
        lines = self.tokens.get_secret_value().split(",")
        if self.tokens_file:
            lines += self.tokens_file.read_text(encoding="utf-8").splitlines()
        return Tokens.parse(lines)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
