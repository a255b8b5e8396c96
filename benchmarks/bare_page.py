"""The least that Gradio can do: a slider whose handler returns a ready image. What the explorer is compared with.

Of the ways to show an image this is the quickest: `gr.HTML` with the PNG inside the answer. `gr.Image` writes a file
that the browser then asks for, one round trip more. Every value of the slider has another image, so that it can be
seen when the last one arrived.
"""

from __future__ import annotations

import argparse
import base64
import io
import os

import numpy as np
from PIL import Image

STEPS = 1000  # of the slider: as many as a handle of the explorer has
FIRST = 200  # where it stands: there is much room to its right
SIZE = 28  # pixels: the images of MNIST


def picture(value: int) -> str:
    """A PNG of noise for this value, as HTML."""
    pixels = np.random.default_rng(value).integers(0, 256, (SIZE, SIZE), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img id="ready" data-mark="{value}" width="392" height="392" src="data:image/png;base64,{data}">'


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare_page", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read on import: it must not look for newer versions
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gradio as gr

    ready = [picture(value) for value in range(STEPS + 1)]
    with gr.Blocks(analytics_enabled=False) as page:
        slider = gr.Slider(0, STEPS, value=FIRST, step=1)
        image = gr.HTML(ready[FIRST])
        # "once", Gradio's default, would lose the last value of a drag
        slider.input(ready.__getitem__, slider, image, trigger_mode="always_last", show_progress="hidden")
    page.launch(server_name="127.0.0.1", server_port=options.port, quiet=True)


if __name__ == "__main__":
    main()
