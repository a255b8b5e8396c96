"""Frames as one file: APNG, lossless WebP and GIF by Pillow, MP4 by PyAV where it is installed.

The first three depend on nothing but the pixels, the times and the version of the library.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate

import numpy as np
from PIL import Image, PngImagePlugin

from server.morph import Format
from server.png import Pixels

MEDIA_TYPES: dict[Format, str] = {
    "apng": "image/apng",
    "webp": "image/webp",
    "gif": "image/gif",
    "mp4": "video/mp4",
}
NO_VIDEO = "This server was installed without the library for MP4 (the extra `video`); apng, webp and gif can be made"


def has_video() -> bool:
    """Whether MP4 can be made here."""
    return importlib.util.find_spec("av") is not None


def animate(
    images: Pixels, seconds: Sequence[float], format: Format, fps: int, loop: bool, scale: int, texts: dict[str, str]
) -> bytes:
    """[K, H, W, C] uint8, each shown for its seconds and each pixel `scale` x `scale` large, as the bytes of a file.

    `texts` go into an APNG. Raises ImportError for MP4 without PyAV.
    """
    large = images.repeat(scale, axis=1).repeat(scale, axis=2)
    if format == "mp4":
        return _mp4(large, seconds, fps)
    times = milliseconds(seconds, 10 if format == "gif" else 1)
    first, *rest = [Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image) for image in large]
    buffer = io.BytesIO()
    if format == "apng":
        info = PngImagePlugin.PngInfo()
        for key, text in texts.items():
            info.add_itxt(key, text)
        times_played = 0 if loop else 1
        first.save(buffer, "PNG", save_all=True, append_images=rest, duration=times, loop=times_played, pnginfo=info)
    elif format == "webp":
        first.save(
            buffer, "WEBP", save_all=True, append_images=rest, duration=times, loop=0 if loop else 1, lossless=True
        )
    else:
        again = {"loop": 0} if loop else {}
        first.save(buffer, "GIF", save_all=True, append_images=rest, duration=times, **again)
    return buffer.getvalue()


def milliseconds(seconds: Sequence[float], unit: int) -> list[int]:
    """Whole multiples of `unit`, rounded so that no error adds up; none is 0."""
    ends = [round(1000 * end / unit) for end in accumulate(seconds)]
    return [unit * max(1, end - start) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _mp4(images: Pixels, seconds: Sequence[float], fps: int) -> bytes:
    """H.264, which has frames of one length and of even sides only: pictures are repeated, and edges too."""
    import av  # only where it is asked for: it is large, and not everybody has it

    ends = [round(end * fps) for end in accumulate(seconds)]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps), options={"crf": "12", "preset": "medium"})
        even = [(0, 0), (0, images.shape[1] % 2), (0, images.shape[2] % 2), (0, 0)]
        padded = np.pad(images, even, mode="edge")
        stream.height, stream.width, stream.pix_fmt = padded.shape[1], padded.shape[2], "yuv420p"
        for image, start, end in zip(padded, [0, *ends[:-1]], ends, strict=True):
            colour = image.repeat(3, axis=2) if image.shape[-1] == 1 else image
            for _ in range(max(1, end - start)):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(colour), format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()
