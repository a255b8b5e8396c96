"""A real server and a real explorer, each a process of its own on a free port, and a page of Chromium before them."""

from __future__ import annotations

import hashlib
import io
import os
import re
import socket
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

hypothesis.settings.register_profile("patient", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("patient")

LOCAL = ("http://127.0.0.1:", "data:", "blob:")
PATIENCE_S = 180.0  # to start; importing Gradio alone takes a while on a busy machine
ANSWER_MS = 60_000


CUT = re.compile("AbortError: signal is aborted|Connection errored out")


def pixels(data: str) -> bytes:
    """The pixels of a PNG in base64."""
    with Image.open(io.BytesIO(b64decode(data))) as image:
        return image.tobytes()


@dataclass(frozen=True)
class Site:
    """Where the explorer and the server are."""

    app: str
    api: str


@dataclass
class Screen:
    """One page of the explorer: what a person sees, and what the server says to the recipe in its link."""

    page: Page
    site: Site
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, query: str = "") -> Screen:
        self.page.goto(f"{self.site.app}/{query}")
        expect(self.page.locator("#shown, #mix-noise, #base, #kept, #edited, #film").first).to_be_visible(
            timeout=ANSWER_MS
        )
        return self

    def shown(self, image: str = "#shown") -> str:
        """SHA-256 of the bytes that the image element shows."""
        source = self.page.locator(image).get_attribute("src") or ""
        return hashlib.sha256(b64decode(source.partition(",")[2])).hexdigest()

    def another_image(self, than: str, image: str = "#shown") -> str:
        """Waits for other bytes than those with this SHA-256."""
        expect(self.page.locator(image)).not_to_have_attribute("data-sha256", than, timeout=ANSWER_MS)
        return self.shown(image)

    def this_image(self, sha256: str, image: str = "#shown") -> None:
        expect(self.page.locator(image)).to_have_attribute("data-sha256", sha256, timeout=ANSWER_MS)
        assert self.shown(image) == sha256

    def same_pixels(self, data: str, image: str) -> None:
        """Waits until the element shows what the PNG in base64 shows. Its bytes differ: they carry another recipe."""
        deadline = time.monotonic() + ANSWER_MS / 1000
        while pixels((source := self.page.locator(image).get_attribute("src") or "").partition(",")[2]) != pixels(data):
            assert time.monotonic() < deadline, f"{image} shows {source}, not {data}"
            self.page.wait_for_timeout(100)

    def reload(self) -> None:
        self.page.reload()
        self.left()

    def left(self) -> None:
        """The page was left. Gradio complains about every connection that this cuts; those complaints do not count."""
        self.complaints[:] = [said for said in self.complaints if not CUT.search(said)]

    def answer(self) -> dict[str, Any]:
        """The server's own answer to the recipe of the page's link, once everything that was wanted is shown."""
        expect(self.page.locator("html:not([data-busy])")).to_be_attached(timeout=ANSWER_MS)
        link = httpx.URL(self.page.url).params
        response = httpx.get(f"{self.site.api}/v1/models/{link['model']}/sample", params={"r": link["r"]}, timeout=60)
        response.raise_for_status()
        return dict(response.json())

    def sample(self, recipe: dict[str, Any]) -> dict[str, Any]:
        """The server's answer to another recipe for the same model."""
        model = httpx.URL(self.page.url).params["model"]
        response = httpx.post(f"{self.site.api}/v1/models/{model}/sample", json=recipe, timeout=60)
        response.raise_for_status()
        return dict(response.json())

    def handle(self, level: int) -> Any:
        return self.page.locator(f"[data-level='{level}'] input[type=range]")

    def temperature(self, level: int) -> str:
        return self.page.locator(f".lrow[data-level='{level}'] .t").inner_text()


@pytest.fixture(scope="session")
def zoo(root: Path) -> Path:
    """The shipped bundles, or those in STRATA_TEST_ZOO."""
    zoo = Path(os.environ.get("STRATA_TEST_ZOO", root / "model_zoo" / "bundles"))
    if not list(zoo.glob("*/manifest.json")):
        reason = f"needs a bundle, and there is none in {zoo}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return zoo


@pytest.fixture(scope="session")
def site(zoo: Path, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server and the explorer for the whole session."""
    api, app = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    logs = tmp_path_factory.mktemp("logs")
    with serving(api, zoo, logs / "server.log"), exploring(app, api, logs / "app.log"):
        yield Site(app, api)


@pytest.fixture(scope="module")  # Playwright keeps a loop running in this thread, where others' tests want their own
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light", accept_downloads=True)
    yield context
    context.close()


@pytest.fixture
def screen(site: Site, context: BrowserContext) -> Iterator[Screen]:
    """The explorer, opened. Whatever a test does there, no request may leave the machine and nothing may complain."""
    screen = watched(context.new_page(), site).open()
    yield screen
    assert screen.foreign == []
    assert screen.complaints == []


def watched(page: Page, site: Site) -> Screen:
    screen = Screen(page, site)
    page.on("request", lambda sent: None if sent.url.startswith(LOCAL) else screen.foreign.append(sent.url))
    page.on("console", lambda said: screen.complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: screen.complaints.append(str(error)))
    return screen


@contextmanager
def serving(api: str, zoo: Path, log: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "server", "--port", api.rpartition(":")[2], "--zoo", str(zoo), "--threads", "2"]
    with _running(command, f"{api}/readyz", log):
        yield


@contextmanager
def exploring(app: str, api: str, log: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "app", "--api", api, "--port", app.rpartition(":")[2]]
    with _running(command, app, log):
        yield


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(command: list[str], ready: str, log: Path) -> Iterator[None]:
    """The command, once it answers at `ready`. What it printed is shown if it never does, or stops."""
    root = Path(__file__).parents[2]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=root)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not _answers(ready):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{' '.join(command)} did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.2)
        yield
        assert process.poll() is None, f"{' '.join(command)} stopped:\n{log.read_text(errors='replace')}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).is_success
    except httpx.TransportError:
        return False
