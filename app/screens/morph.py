"""Morph: what lies between two images?"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

from app import apng, morph, morphing, stage
from app.client import ApiError, Card, Job, Recipe
from app.intents import Intent
from app.morphing import CancelExport, Export, Exporting, Film
from app.screens.screen import Asking, Box, Query, Regions, Screen, Shown
from app.state import FreshSeed, Session

EACH_MS = 1000.0  # a picture of a preview
KEPT = 8  # previews that are remembered


class Morph(Screen):
    name = "morph"
    title = "Morph"
    layout = Box(
        "morph",
        (
            "morph_heading",
            "morph_status",
            "morph_keys",
            Box("morow", ("morph_motion", "morph_player", Box("moexport", ("morph_export", "morph_film"))), row=True),
            "morph_strip",
        ),
    )
    trouble = later_trouble = "morph_status"

    def __init__(self, asking: Asking) -> None:
        super().__init__(asking)
        self._previews: dict[str, list[str]] = {}
        self._open: dict[str, Job] = {}  # exports under way, as they were when the server last said so

    @classmethod
    def first(cls, card: Card) -> Film:
        return morphing.first(card)

    @classmethod
    def first_view(cls, card: Card) -> Exporting:
        return morphing.first_export(card)

    @classmethod
    def apply(cls, session: Session, intent: Intent, card: Card, fresh_seed: FreshSeed) -> Session:
        return morphing.apply(session, intent, card, fresh_seed)

    @classmethod
    def query(cls, session: Session) -> dict[str, str]:
        return morphing.to_query(morphing.now(session), morphing.exporting(session))

    @classmethod
    def restored(cls, session: Session, card: Card, query: Query) -> Session:
        film, export = morphing.from_query(card, query)
        return session.restarted("morph", film).with_view("morph", export)

    @classmethod
    def recipe(cls, session: Session) -> Recipe:
        return morphing.now(session).keyframes[0]

    @classmethod
    def with_recipe(cls, session: Session, card: Card, recipe: Recipe) -> Session:
        return session  # the link's other words have all images

    def controls(self, card: Card, session: Session) -> Regions:
        return {
            "morph_heading": morph.heading(),
            "morph_motion": morph.motion(card, morphing.now(session)),
            **self._export(card, session),
        }

    async def asked(self, card: Card, session: Session, intent: Intent) -> Session:
        """An export begins or is called off. What the server will not make is told."""
        export = morphing.exporting(session)
        try:
            if isinstance(intent, Export):
                job = await self.client.submit(morphing.job(morphing.now(session), card, export))
                self._open[job.id] = job
                return session.with_view("morph", replace(export, job=job.id))
            if isinstance(intent, CancelExport) and export.job in self._open:
                job = self._open.pop(export.job)
                await self.client.cancel(job.id)
                return replace(session.with_view("morph", replace(export, job=None)), note=morph.CALLED_OFF)
        except ApiError as error:
            return replace(session, note=_said(error))
        return session

    async def show(self, card: Card, session: Session) -> Shown:
        """The images in order; the way between them comes in a moment."""
        film = morphing.now(session)
        answers = await self.asking.all(card, list(film.keyframes))
        known = len(film.keyframes) < 2 or _key(film, card) in self._previews
        regions = {
            "morph_status": stage.note(session) + ("" if known else morph.waiting(film)),
            "morph_keys": morph.keyframes(card, film, [answer.images[0] for answer in answers]),
        }
        return Shown(regions, answers[0])

    async def settle(self, card: Card, session: Session) -> AsyncIterator[Regions]:
        """How far an export is, to its end; then the preview, which is a job too and would wait behind it."""
        async for regions in self._followed(card, session):
            yield regions
        film = morphing.now(session)
        frames = await self._preview(card, film)
        yield {
            "morph_status": stage.note(session),
            "morph_player": morph.player(card, film, frames),
            "morph_strip": morph.strip(card, film, frames),
        }

    async def _followed(self, card: Card, session: Session) -> AsyncIterator[Regions]:
        """May be left off at any time: whoever asks again is told from there on."""
        job = self._open.get(morphing.exporting(session).job or "")
        if job is None:
            return
        async for progress in self.client.events(job):
            job = progress.job or job.model_copy(update={"done": progress.done, "total": progress.total})
            self._open[job.id] = job
            if job.open:
                yield {"morph_film": morph.progress(job)}
        file = await self.client.result(job) if job.state == "completed" else b""
        self._open.pop(job.id)
        yield {"morph_film": morph.ended(card, job, file), **self._export(card, session)}

    def _export(self, card: Card, session: Session) -> Regions:
        """The export, and how far it is while it is under way. What it made stays where it is."""
        asked = morphing.exporting(session).job
        job = self._open.get(asked or "")
        regions = {"morph_export": morph.export(card, session, running=job is not None)}
        if job is not None or asked is None:
            regions["morph_film"] = morph.progress(job) if job else ""
        return regions

    async def _preview(self, card: Card, film: Film) -> list[str]:
        """A few pictures of the film, made by the job that makes films. None of a single image."""
        if len(film.keyframes) < 2:
            return []
        key = _key(film, card)
        if key not in self._previews:
            made = await self.client.make(morphing.preview(film, card))
            self._previews[key] = apng.pictures(made, EACH_MS)
        if len(self._previews) > KEPT:
            self._previews.pop(next(iter(self._previews)))
        return self._previews[key]


def _key(film: Film, card: Card) -> str:
    return f"{card.digest} {json.dumps(morphing.preview(film, card), sort_keys=True)}"


def _said(error: ApiError) -> str:
    """What keeps a job from being made, with how long to wait or what was wrong."""
    if error.kind == "busy":
        return f"Busy. Try again in {error.retry_after or 2.0:g} s."
    return " ".join([error.sentence, *(f"{fault.detail}." for fault in error.fields if fault.detail != error.sentence)])
