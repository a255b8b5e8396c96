"""POST encode: an image in, what the model makes of it out."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from fastapi import FastAPI, Request
from pydantic import Tag, TypeAdapter
from starlette.responses import JSONResponse, Response

from server.answers import JSON, NPZ, EncodeAnswer, LevelRate, image_file, pack_npz
from server.call import make_call
from server.encode import NOISE_SEED, Encoding, encode
from server.fields import by_key
from server.images import FORMATS, ImageError, from_text, read
from server.models import Model
from server.openapi import describe_encode
from server.png import Pixels
from server.problems import Problem
from server.recipe import RecipeError, fault, parse_as
from server.requests import accepted, read_body, sent_type
from server.service import Service
from server.sources import ExampleImage, OwnImage

EncodeRequest = Annotated[
    Annotated[ExampleImage, Tag("<example>")] | Annotated[OwnImage, Tag("<image>")],
    by_key(("example", "image"), 'Input should be {"image": ...} or {"example": ...}'),
]
_REQUEST: TypeAdapter[ExampleImage | OwnImage] = TypeAdapter(EncodeRequest)


def install_encode(app: FastAPI, service: Service) -> None:
    @app.post("/v1/models/{model_id}/encode", **describe_encode())
    async def encode_image(model_id: str, request: Request) -> Response:
        model, media_type = service.find_ready(model_id), accepted(request, (JSON, NPZ))
        wanted: bytes | ExampleImage | OwnImage
        if sent_type(request, (JSON, *FORMATS)) == JSON:
            wanted = parse_as(_REQUEST, await read_body(request, service.settings.max_body_bytes))
        else:
            wanted = await read_body(request, service.settings.max_upload_bytes)
        encoding = await service.run(make_call(request, cost=2), make_encoding, model, wanted)
        latents = service.store.put(model.bundle.digest, encoding.latents, encoding.image)
        headers = {"Cache-Control": "no-store", "Vary": "Accept", "X-Model-Digest": model.bundle.digest}
        if media_type == NPZ:
            return Response(arrays(model, latents, encoding), headers=headers, media_type=NPZ)
        return JSONResponse(describe(model, latents, encoding).model_dump(mode="json"), headers=headers)


def make_encoding(model: Model, wanted: bytes | ExampleImage | OwnImage) -> Encoding:
    """Encode an image: two passes of the encoder. Work for the backend."""
    return encode(model.engine, _pixels(model, wanted))


def describe(model: Model, latents: str, encoding: Encoding) -> EncodeAnswer:
    bit = math.log(2)
    canonical = image_file(encoding.image)
    rate = sum(encoding.rates)
    return EncodeAnswer(
        model=model.id,
        digest=model.bundle.digest,
        latents=latents,
        image=canonical,
        noise_seed=NOISE_SEED,
        levels=[LevelRate(index=i, nats=nats, bits=nats / bit) for i, nats in enumerate(encoding.rates)],
        rate_nats=rate,
        rate_bits=rate / bit,
        distortion_nats=encoding.distortion,
        distortion_bits=encoding.distortion / bit,
        nats_per_image=encoding.nats,
        bits_per_dim=encoding.bits_per_dim,
        psnr=encoding.psnr,
    )


def arrays(model: Model, latents: str, encoding: Encoding) -> bytes:
    """npz: `image` and `reconstruction` [H, W, C] uint8; `latents`, `posterior_mean`, `posterior_scale`, `kl` [N]."""
    return pack_npz(
        {
            "image": encoding.image,
            "reconstruction": encoding.reconstruction,
            "latents": encoding.latents,
            "posterior_mean": encoding.posterior_mean,
            "posterior_scale": encoding.posterior_scale,
            "kl": encoding.kl,
            "id": np.array(latents),
            "model": np.array(model.id),
        }
    )


def _pixels(model: Model, wanted: bytes | ExampleImage | OwnImage) -> Pixels:
    shape = model.bundle.manifest.image
    if isinstance(wanted, ExampleImage):
        if wanted.example >= len(model.examples):
            raise RecipeError([fault(f"This model has {len(model.examples)} examples, counted from 0", "example")])
        return np.asarray(model.examples[wanted.example])
    try:
        return read(wanted, shape) if isinstance(wanted, bytes) else from_text(wanted.image, shape)
    except ImageError as error:
        places = [] if isinstance(wanted, bytes) else [fault(str(error), "image")]
        raise Problem("invalid-image", str(error), places) from None
