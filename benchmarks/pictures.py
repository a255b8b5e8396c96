"""`python -m benchmarks.pictures`: the pictures of the explorer in docs/images, in Chromium before the shipped bundles.

Every screen at 1280x800 and 390x844, as it opens, once all of it is there; Explore also in the dark.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from app.run import HOST, Running, Service, free_port, wait_until_ready
from app.screens import NAMES

IMAGES = Path(__file__).parents[1] / "docs" / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_S = 180.0


class Picture(NamedTuple):
    """One picture: its file's name, the screen, the page's size in pixels, and the theme."""

    file: str
    screen: str
    width: int
    height: int
    theme: str = "light"


def pictures(screens: Sequence[str]) -> list[Picture]:
    """Those of these screens."""
    wide = [Picture(f"{screen}.png", screen, 1280, 800) for screen in screens]
    narrow = [Picture(f"{screen}-narrow.png", screen, 390, 844) for screen in screens]
    dark = [Picture("explore-dark.png", "explore", 1280, 800, "dark")] if "explore" in screens else []
    return wide + narrow + dark


def take(browser: Browser, url: str, picture: Picture) -> bytes:
    """PNG of a screen of the explorer at `url`. Raises playwright's TimeoutError if it is never complete."""
    size = {"width": picture.width, "height": picture.height}
    page = browser.new_page(viewport=size, color_scheme=picture.theme, reduced_motion="reduce")  # type: ignore[arg-type]
    page.goto(f"{url}/?screen={picture.screen}&theme={picture.theme}")
    page.locator("html[data-settled]").wait_for(state="attached", timeout=PATIENCE_S * 1000)
    page.evaluate("document.fonts.ready")
    png = page.screenshot()
    page.close()
    return smaller(png)


def smaller(png: bytes) -> bytes:
    """The same picture, packed as tightly as PNG can. Fewer colours would cost the maps theirs."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


@contextmanager
def explorer() -> Iterator[str]:
    """The address of an explorer before a server with the shipped bundles, both started for this."""
    api_port = free_port(8000)
    port = free_port(7860, taken=[api_port])
    api, url = f"http://{HOST}:{api_port}", f"http://{HOST}:{port}"
    services = (
        Service("server", (sys.executable, "-m", "server", "--host", HOST, "--port", str(api_port)), f"{api}/readyz"),
        Service("explorer", (sys.executable, "-m", "app", "--api", api, "--host", HOST, "--port", str(port)), url),
    )
    with ExitStack() as stops:
        started: list[Running] = []
        for service in services:
            started.append(Running(service))
            stops.callback(started[-1].stop)
        for service in services:
            wait_until_ready(service, started, time.monotonic() + PATIENCE_S)
        yield url


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        print("This needs Chromium; on Debian: apt-get install chromium", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        url = options.url or stack.enter_context(explorer())
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for picture in pictures(options.screens or NAMES):
            png = take(browser, url, picture)
            (options.out / picture.file).write_bytes(png)
            print(f"{picture.file}: {len(png) / 1000:.0f} kB", flush=True)
        browser.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description="The pictures in docs/images.")
    parser.add_argument("screens", nargs="*", metavar="SCREEN", help=f"of {', '.join(NAMES)} (all)")
    parser.add_argument("--url", help="an explorer that is running; without it one is started")
    parser.add_argument("--out", type=Path, default=IMAGES, metavar="FOLDER", help="where to (docs/images)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
