"""Images in order and the way from one to the next: the state of the Morph screen, its intents, its jobs and links."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app import changing, mixing, recipes
from app.client import Card, Recipe
from app.intents import Intent, NewSeed, Seed
from app.mixing import Source
from app.recipes import MAX_SEED
from app.state import FreshSeed, Session

MAX_KEYFRAMES = 32
STEPS, FRAMES = 8, 48  # of a preview: frames from one image to the next, where that is not too many in all
LONGEST = 2**18  # bytes of a link's recipe, unpacked

Spaces = Literal["auto", "noise", "latent"]
Easing = Literal["smooth", "linear"]
Format = Literal["apng", "webp", "gif", "mp4"]
Index = Annotated[int, Field(ge=0)]


class AddKeyframe(Intent):
    """One more image at the end: the next seed or test image after the last."""

    do: Literal["morph_add"]


class ChangeKeyframe(Intent):
    """Another image in this place: a seed, a test image, or the one that Explore shows."""

    do: Literal["morph_source"]
    index: Index
    seed: Seed | None = None
    example: Annotated[int, Field(ge=0)] | None = None
    explore: bool = False


class MoveKeyframe(Intent):
    do: Literal["morph_move"]
    index: Index
    by: Literal[-1, 1]


class DropKeyframe(Intent):
    do: Literal["morph_drop"]
    index: Index


class SetMotion(Intent):
    """Another way from one image to the next."""

    do: Literal["morph_set"]
    space: Spaces | None = None
    stagger: Annotated[float, Field(ge=0, le=0.9)] | None = None
    easing: Easing | None = None
    transition_s: Annotated[float, Field(gt=0, le=30)] | None = None
    hold_s: Annotated[float, Field(ge=0, le=10)] | None = None
    fps: Annotated[int, Field(ge=1, le=60)] | None = None
    loop: bool | None = None


class ExportAs(Intent):
    """The kind of file that is made, and how much larger."""

    do: Literal["export_as"]
    format: Format | None = None
    scale: Annotated[int, Field(ge=1, le=32)] | None = None


class Export(Intent):
    """Make the film, as a job."""

    do: Literal["export"]


class CancelExport(Intent):
    do: Literal["cancel_export"]


MorphIntent = AddKeyframe | ChangeKeyframe | MoveKeyframe | DropKeyframe | SetMotion | ExportAs | Export | CancelExport


@dataclass(frozen=True)
class Motion:
    """How to go from one image to the next, as a morph job has it (docs/rest.md)."""

    space: Spaces = "auto"
    stagger: float = 0.0
    easing: Easing = "smooth"
    transition_s: float = 2.0
    hold_s: float = 0.5
    fps: int = 15
    loop: bool = True


@dataclass(frozen=True)
class Film:
    """Recipes of one image each, in order, and the way between them."""

    keyframes: tuple[Recipe, ...]
    motion: Motion = Motion()

    @property
    def transitions(self) -> int:
        return len(self.keyframes) if self.motion.loop else len(self.keyframes) - 1

    @property
    def frames(self) -> int:
        """How many pictures the film has."""
        steps = max(1, round(self.motion.fps * self.motion.transition_s))
        return len(self.keyframes) + self.transitions * (steps - 1)

    @property
    def seconds(self) -> float:
        return len(self.keyframes) * self.motion.hold_s + self.transitions * self.motion.transition_s


@dataclass(frozen=True)
class Exporting:
    """The file that would be made, and the job that makes the last one asked for."""

    format: Format = "apng"
    scale: int = 1
    job: str | None = None


def first(card: Card) -> Film:
    """Three seeds, the first of which is the image that Explore opens with."""
    return Film(tuple(keyframe({"seed": recipes.FIRST_SEED + step}, card) for step in range(3)))


def first_export(card: Card) -> Exporting:
    """A file as large as fits 256 pixels."""
    return Exporting(scale=max(scale for scale in scales(card) if scale == 1 or scale * _side(card) <= 256))


def scales(card: Card) -> tuple[int, ...]:
    """How much larger than the model's images a file may be: neither a stamp nor a poster, and 1 for large images."""
    fitting = tuple(scale for scale in (1, 2, 4, 8, 16) if 100 <= scale * _side(card) <= 1024)
    return fitting or (1,)


def now(session: Session) -> Film:
    found: Film = session.histories["morph"].present
    return found


def exporting(session: Session) -> Exporting:
    found: Exporting = session.views["morph"]
    return found


def apply(session: Session, intent: Intent, card: Card, fresh_seed: FreshSeed) -> Session:
    """One intent. What does not fit, such as an image that is not there, changes nothing."""
    film = now(session)
    keys = list(film.keyframes)
    match intent:
        case AddKeyframe() if len(keys) < MAX_KEYFRAMES:
            return _with_keys(session, [*keys, keyframe(following(keys, card), card)])
        case NewSeed() if session.works_on == "morph" and len(keys) < MAX_KEYFRAMES:
            return _with_keys(session, [*keys, keyframe({"seed": fresh_seed()}, card)])
        case ChangeKeyframe() if intent.index < len(keys) and (recipe := _chosen(session, intent, card)):
            return _with_keys(session, [*keys[: intent.index], recipe, *keys[intent.index + 1 :]])
        case MoveKeyframe() if intent.index < len(keys) and 0 <= intent.index + intent.by < len(keys):
            keys.insert(intent.index + intent.by, keys.pop(intent.index))
            return _with_keys(session, keys)
        case DropKeyframe() if intent.index < len(keys) > 1:
            return _with_keys(session, keys[: intent.index] + keys[intent.index + 1 :])
        case SetMotion():
            chosen = intent.model_dump(include={one.name for one in fields(Motion)}, exclude_none=True)
            return session.pushed("morph", replace(film, motion=replace(film.motion, **chosen)))
        case ExportAs():
            chosen = intent.model_dump(include={"format", "scale"}, exclude_none=True)
            return session.with_view("morph", replace(exporting(session), **chosen))
        case _:
            return session


def keyframe(source: Source, card: Card) -> Recipe:
    """A seed or a test image as it is."""
    return changing.start(source, card, "stay" if "example" in source else "adapt")


def following(keyframes: list[Recipe], card: Card) -> Source:
    """The test image after the last keyframe if that is one, else a seed that no keyframe has."""
    source = keyframes[-1]["source"]
    if "example" in source:
        return {"example": (source["example"] + 1) % len(card.examples)}
    return {"seed": min(1 + max(recipes.seed(one) for one in keyframes), MAX_SEED)}


def only_seeds(card: Card) -> bool:
    """Whether nothing lies between two images of this model but between plain seeds, in noise space: latents that are
    0 or 1 have nothing between them."""
    return card.prior == "bernoulli"


def job(film: Film, card: Card, export: Exporting) -> dict[str, Any]:
    """The job that makes the film."""
    file = {"format": export.format, "scale": export.scale}
    return {"kind": "morph", "model": card.id, "keyframes": list(film.keyframes), **asdict(film.motion), **file}


def preview(film: Film, card: Card) -> dict[str, Any]:
    """The job that makes a few pictures of the film, each a second long, whatever its speed."""
    motion = replace(film.motion, transition_s=float(steps(film)), hold_s=0.0, fps=1)
    return job(replace(film, motion=motion), card, Exporting(scale=1))


def steps(film: Film) -> int:
    """Pictures of a preview from one image to the next."""
    return max(2, min(STEPS, FRAMES // max(1, film.transitions)))


def place(film: Film, frame: int) -> tuple[int, int, float]:
    """Between which two images a picture of the preview stands, and which part of the time has gone by."""
    key, step = divmod(frame, steps(film))
    return key, (key + 1) % len(film.keyframes), step / steps(film)


# --- links ------------------------------------------------------------------------------------------------------------


class _Linked(BaseModel):
    """As much of a recipe as this page counts on; the server checks the rest."""

    model_config = ConfigDict(extra="forbid", strict=True)

    recipe_version: Literal[1]
    source: dict[str, Any]
    n: Literal[1]
    temperature: list[float]
    levels: dict[str, dict[str, Any]]
    edits: list[dict[str, Any]]
    output: dict[str, Any]


def to_query(film: Film, export: Exporting) -> dict[str, str]:
    """Images, way and file for a link."""
    motion = {key: str(value) for key, value in asdict(film.motion).items()}
    keys = ",".join(recipes.to_token(one) for one in film.keyframes)
    return {"keys": keys, **motion, "format": export.format, "scale": str(export.scale)}


def from_query(card: Card, query: Mapping[str, str]) -> tuple[Film, Exporting]:
    """What `to_query` said; what makes no sense there is as at the start."""
    film, export = first(card), first_export(card)
    keys = [recipe for text in query.get("keys", "").split(",") if (recipe := _recipe(text, card))]
    if keys:
        film = replace(film, keyframes=tuple(keys[:MAX_KEYFRAMES]))
    for name in (one.name for one in fields(Motion)):
        film = replace(film, motion=_told(SetMotion, "morph_set", film.motion, name, query))
    for name in ("format", "scale"):
        export = _told(ExportAs, "export_as", export, name, query)
    return film, export


def _told(intent: type[Intent], do: str, value: Any, name: str, query: Mapping[str, str]) -> Any:
    """The value with one of its fields as the link has it, where an intent might say so too."""
    try:
        said = intent.model_validate({"do": do, "seq": 1, name: query[name]}, strict=False)
    except (KeyError, ValidationError):
        return value
    return replace(value, **{name: getattr(said, name)})


def _recipe(text: str, card: Card) -> Recipe | None:
    """The recipe of a token; None for anything else, or of another model."""
    try:
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        recipe: Recipe = json.loads(zlib.decompressobj().decompress(packed, LONGEST))
        _Linked.model_validate(recipe)
    except (ValueError, zlib.error):
        return None
    known = {"seed", "seeds"} & recipe["source"].keys() or "example" in recipe["source"]
    return recipe if known and len(recipe["temperature"]) == len(card.levels) else None


def _side(card: Card) -> int:
    return max(card.image.height, card.image.width)


def _with_keys(session: Session, keys: list[Recipe]) -> Session:
    return session.pushed("morph", replace(now(session), keyframes=tuple(keys)))


def _chosen(session: Session, intent: ChangeKeyframe, card: Card) -> Recipe | None:
    """The recipe that an intent names; None where the model has no such image, or nothing between it and others."""
    if only_seeds(card) and intent.seed is None:
        return None
    if intent.explore:
        return recipes.with_output(recipes.single(session.recipe, session.view.image), "mean")
    source = mixing.chosen(intent.seed, intent.example, card)
    return keyframe(source, card) if source else None
