"""A server made of one function: enough of docs/rest.md to test the explorer's own logic in milliseconds.

Images are a function of the recipe alone, as the real ones are, and every request is written down.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from typing import Any

import httpx
import numpy as np
from PIL import Image

from app import reconstructing
from app.client import Card, Client
from app.reconstructing import Reconstruction, Source

SIZE = 8


def make_card(resolutions: tuple[int, ...] = (1, 4, 4, 8), name: str = "toy", **changes: Any) -> Card:
    """A card with one level of two channels for each resolution, each carrying less than the one above."""
    return Card.model_validate(card_document(resolutions, name) | changes)


def card_document(resolutions: tuple[int, ...] = (1, 4, 4, 8), name: str = "toy") -> dict[str, Any]:
    levels: list[dict[str, Any]] = [
        {"index": i, "channels": 2, "height": r, "width": r, "group": f"{r}x{r}", "kl_bits": 8.0 / (i + 1)}
        for i, r in enumerate(resolutions)
    ]
    groups = [
        {
            "name": f"{r}x{r}",
            "height": r,
            "width": r,
            "levels": [level["index"] for level in levels if level["height"] == r],
            "kl_bits": sum(level["kl_bits"] for level in levels if level["height"] == r),
        }
        for r in dict.fromkeys(resolutions)
    ]
    return {
        "id": name,
        "state": "ready",
        "image": {"height": SIZE, "width": SIZE, "channels": 1, "bits": 8},
        "levels": levels,
        "groups": groups,
        "latents": sum(2 * r * r for r in resolutions),
        "examples": [{"index": i, "label": str(i), "url": f"/v1/models/{name}/examples/{i}"} for i in range(3)],
        "metrics": [
            {"estimator": "ELBO", "nats_per_image": 82.5, "bits_per_dim": 0.152, "split": "test", "images": 10000}
        ],
        "limits": {"max_images": 64},
    }


class FakeApi:
    """Answers as the server would; `answer_with` makes it answer every sample with something else."""

    def __init__(self, *cards: dict[str, Any]) -> None:
        self.cards = {card["id"]: card for card in cards or (card_document(),)}
        self.requests: list[httpx.Request] = []
        self.answer_with: httpx.Response | Exception | None = None
        self.tokens: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.films: dict[str, bytes] = {}

    def client(self) -> Client:
        http = httpx.AsyncClient(base_url="http://api.test", transport=httpx.MockTransport(self.answer))
        return Client(http, "http://api.test")

    @property
    def recipes(self) -> list[dict[str, Any]]:
        """The recipes that were asked for, in order."""
        return [json.loads(request.content) for request in self.requests if request.method == "POST"]

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        parts = request.url.path.strip("/").split("/")
        if parts == ["v1", "models"]:
            return httpx.Response(200, json={"data": list(self.cards.values()), "default": next(iter(self.cards))})
        if "examples" in parts:
            return httpx.Response(200, content=png(b"example " + parts[-1].encode()))
        if parts[1] == "jobs" and request.method == "GET":
            return self.follow(parts)
        if isinstance(self.answer_with, Exception):
            raise self.answer_with
        if self.answer_with is not None:
            return self.answer_with
        if parts[1] == "jobs":
            return self.job(request, parts)
        if request.method == "GET":
            token = request.url.params["r"]
            if token not in self.tokens:
                problem = {"status": 400, "detail": "The token is not base64url of zlib-compressed JSON"}
                return httpx.Response(400, json=problem)
            return httpx.Response(200, json=self.sample(parts[2], self.tokens[token]))
        if parts[-1] == "encode":
            return self.encode(parts[2], request)
        if parts[-1] == "inspect":
            return self.inspect(parts[2], json.loads(request.content), request.headers["Accept"])
        return httpx.Response(200, json=self.sample(parts[2], json.loads(request.content)))

    def job(self, request: httpx.Request, parts: list[str]) -> httpx.Response:
        """A morph of one picture a second and keyframe or step; MP4 is not offered."""
        if request.method == "DELETE":
            self.jobs[parts[2]]["state"] = "cancelled"
            return httpx.Response(204)
        asked = json.loads(request.content)
        if asked["format"] == "mp4":
            detail = "This server makes no MP4"
            return httpx.Response(422, json={"status": 422, "detail": detail, "errors": []})
        id = f"job-{len(self.jobs)}"
        count = len(asked["keyframes"]) * max(1, round(asked["fps"] * asked["transition_s"]))
        pictures = [Image.open(io.BytesIO(png(f"{json.dumps(asked)} {at}".encode()))) for at in range(count)]
        film = io.BytesIO()
        pictures[0].save(film, "PNG", save_all=True, append_images=pictures[1:], duration=1000)
        self.films[id] = film.getvalue()
        kind = {"id": id, "kind": "morph", "model": asked["model"], "state": "queued", "done": 0, "total": count}
        self.jobs[id] = {**kind, "url": f"/v1/jobs/{id}", "events_url": f"/v1/jobs/{id}/events"}
        return httpx.Response(202, json=self.jobs[id])

    def follow(self, parts: list[str]) -> httpx.Response:
        """All that happens to a job, or what it made."""
        job, film = self.jobs[parts[2]], self.films[parts[2]]
        if parts[-1] == "result":
            return httpx.Response(200, content=film)
        if job["state"] == "queued":
            sha256 = hashlib.sha256(film).hexdigest()
            result = {"url": f"{job['url']}/result", "media_type": "image/apng", "bytes": len(film), "sha256": sha256}
            job |= {"state": "completed", "done": job["total"], "result": result}
        progress = {"id": job["id"], "done": 1, "total": job["total"]}
        events = (("progress", progress), (job["state"], job))
        told = [f"event: {name}\nid: {at + 1}\ndata: {json.dumps(data)}\n\n" for at, (name, data) in enumerate(events)]
        return httpx.Response(200, content="".join(told).encode(), headers={"Content-Type": "text/event-stream"})

    def inspect(self, model: str, question: dict[str, Any], accept: str) -> httpx.Response:
        if accept == "application/x-npz":
            return httpx.Response(200, content=ladder_arrays(question))
        answers = {"ladder_grid": self.ladder, "progressive": self.progressive, "kl": self.rate_maps}
        return httpx.Response(200, json=answers[question["kind"]](model, question))

    def cell(self, model: str, recipe: dict[str, Any]) -> dict[str, Any]:
        """An image with the recipe that makes it, as `sample` makes it."""
        answer = self.sample(model, recipe)
        return {**answer["images"][0], "recipe": answer["recipe"], "recipe_id": answer["recipe_id"]}

    def ladder(self, model: str, question: dict[str, Any]) -> dict[str, Any]:
        """Rows that move less and less ink; a cell is the recipe with its row's levels drawn again."""
        assert question["kind"] == "ladder_grid"
        base, first = question["recipe"], question["first_draw"]
        lower = {tuple(row): list(range(row[0] + 1, 4)) for row in question["rows"]}
        rows = []
        for index, levels in enumerate(question["rows"]):
            cells = []
            for draw in range(first, first + question["show"]):
                edits = [{"op": "resample", "levels": levels, "draw": draw, "mode": "sample"}]
                if question["below"] == "mean" and lower[tuple(levels)]:
                    edits.append({"op": "resample", "levels": lower[tuple(levels)], "draw": 0, "mode": "mean"})
                cells.append({**self.cell(model, {**base, "edits": base["edits"] + edits}), "draw": draw})
            picture = self.cell(model, base)
            rows.append(
                {
                    "levels": levels,
                    "group": None,
                    "kl_bits": 1.5,
                    "share": 0.1,
                    "mean_change": 9.0,
                    "ink_moved": 0.5 / (1 + index),
                    "change": picture,
                    "deviation": picture,
                    "cells": cells,
                }
            )
        scale = {"top": 80.0, "unit": "grey levels", "colours": "viridis"}
        return {
            "base": self.cell(model, base),
            "below": question["below"],
            "draws": question["draws"],
            "scales": {"change": scale, "deviation": scale},
            "rows": rows,
        }

    def elbo(self, model: str, subject: dict[str, Any]) -> dict[str, Any]:
        """What an image costs, the same for each."""
        content = base64.b64encode(png(json.dumps(subject).encode())).decode()
        return {
            "model": model,
            "image": {"sha256": "0" * 64, "height": SIZE, "width": SIZE, "data": content},
            "source": {**subject, "seed": 0},
            "estimator": "ELBO",
            "rate_nats": 7.0,
            "rate_bits": 10.0,
            "distortion_nats": 5.0,
            "distortion_bits": 7.2,
            "nats_per_image": 12.0,
            "bits_per_dim": 0.114,
            "dataset": self.cards[model]["metrics"][0],
        }

    def progressive(self, model: str, question: dict[str, Any]) -> dict[str, Any]:
        """Every step of an image, each level as dear and as good as the last."""
        count = len(self.cards[model]["levels"])
        steps = []
        for kept in range(count + 1):
            subject = {"example": 0} if "recipe" in question["subject"] else question["subject"]
            now = Reconstruction(Source(**subject), kept, question.get("others", "mean"))
            cell = self.cell(model, reconstructing.recipe(now, count))
            share = kept / count
            steps.append({**cell, "kept": kept, "bits": 10 * share, "share": share, "mse": 9.0, "psnr": 8.0 + 4 * kept})
        return {**self.elbo(model, question["subject"]), "others": question.get("others", "mean"), "steps": steps}

    def rate_maps(self, model: str, question: dict[str, Any]) -> dict[str, Any]:
        elbo = self.elbo(model, question["subject"])
        card = self.cards[model]
        rate = {"bits": 2.5, "highest": 0.4, "map": elbo["image"]}
        return {
            **elbo,
            "scale": {"top": 0.4, "unit": "bits per pixel", "colours": "viridis"},
            "levels": [
                {**rate, "index": level["index"], "group": level["group"], "nats": 1.7, "cumulative_bits": 2.5}
                for level in card["levels"]
            ],
            "groups": [{**rate, "name": group["name"], "levels": group["levels"]} for group in card["groups"]],
            "total": elbo["image"],
        }

    def encode(self, model: str, request: httpx.Request) -> httpx.Response:
        """An image becomes a PNG of the model's size."""
        if not request.content.startswith(b"\x89PNG"):
            return httpx.Response(422, json={"status": 422, "title": "No image", "detail": "This is no image"})
        image = base64.b64encode(request.content).decode()
        elbo = self.elbo(model, {"image": image})
        return httpx.Response(
            200, json={**elbo, "image": {**elbo["image"], "data": image}, "latents": "0", "levels": [], "psnr": None}
        )

    def sample(self, model: str, recipe: dict[str, Any]) -> dict[str, Any]:
        source = recipe["source"]
        n = recipe.get("n") or len(source.get("seeds", [0]))
        seeds = source.get("seeds") or [source.get("seed", 0) + i for i in range(n)]
        resolved = {**recipe, "n": n, "source": {"seeds": seeds} if set(source) <= {"seed", "seeds"} else source}
        token = hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()
        self.tokens[token] = resolved
        images = []
        for index, seed in enumerate(seeds):
            content = png(f"{model} {seed} {json.dumps({**recipe, 'n': 1, 'source': 0}, sort_keys=True)}".encode())
            images.append(
                {
                    "index": index,
                    "seed": seed,
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "mime": "image/png",
                    "height": SIZE,
                    "width": SIZE,
                    "data": base64.b64encode(content).decode(),
                }
            )
        return {
            "model": model,
            "digest": "0" * 64,
            "recipe": resolved,
            "recipe_id": token,
            "token": token,
            "images": images,
            "levels_computed": len(self.cards[model]["levels"]),
            "provider": "cpu",
            "timing": {"decode_ms": 7.2, "total_ms": 9.0},
        }


def ladder_arrays(question: dict[str, Any]) -> bytes:
    """The npz of a ladder whose rows move less and less ink."""
    assert question["kind"] == "ladder_grid"
    count = len(question["rows"])
    buffer = io.BytesIO()
    np.savez(
        buffer,
        ink_moved=0.5 / (1 + np.arange(count)),
        mean_change=10.0 / (1 + np.arange(count)),
        deviation=np.full((count, SIZE, SIZE), 20.0, np.float32),
    )
    return buffer.getvalue()


def png(key: bytes) -> bytes:
    """A grey image that depends on nothing but `key`."""
    values = np.frombuffer(hashlib.shake_256(key).digest(SIZE * SIZE), dtype=np.uint8).reshape(SIZE, SIZE)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, format="PNG")
    return buffer.getvalue()
