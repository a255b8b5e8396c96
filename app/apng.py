"""The pictures of an APNG one by one."""

from __future__ import annotations

import base64
import io

from PIL import Image


def pictures(film: bytes, each_ms: float) -> list[str]:
    """`data:` addresses of PNGs, one for every `each_ms` of the film: equal pictures in a row are one frame there."""
    found: list[str] = []
    with Image.open(io.BytesIO(film)) as image:
        for frame in range(getattr(image, "n_frames", 1)):
            image.seek(frame)
            buffer = io.BytesIO()
            image.convert("L" if image.mode == "L" else "RGB").save(buffer, "PNG")
            url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
            found += [url] * max(1, round(float(image.info.get("duration", each_ms)) / each_ms))
    return found
