"""`make bench`, explorer part: how quick the page feels, beside a bare Gradio page with one slider.

    first load   from the navigation to the first image seen, by a browser that has never been there
    pointer      from an input event of a temperature handle, dragged, to the new image seen; vdvae-mnist, one image
    keys         the same with an arrow key

In real Chromium, in one run in which the two pages take turns; whoever is not looked at stands still meanwhile. The
bare page (bare_page.py) answers with a ready image. It writes benchmarks/results/explorer.json and .md.
"""

from __future__ import annotations

import argparse
import datetime
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from playwright.sync_api import Browser, sync_playwright

from app.recipes import to_token
from benchmarks.browsing import FirstLoad, Subject, drag, opened, press
from benchmarks.clients import median, percentile
from benchmarks.report import Circumstances, circumstances, table, write
from benchmarks.servers import Server, module, running, strata
from benchmarks.service import Target
from benchmarks.service_latency import Latency
from benchmarks.timing import Record
from model_zoo.bundle import open_bundle
from model_zoo.zoo import BUNDLES

MODEL = "vdvae-mnist"
LEVEL = 3  # whose handle is dragged: coarse, so that nearly everything is computed again
COLD = 0.4  # where its temperature starts
EVENTS = 60  # of one drag
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

OURS = Subject(image="#shown", handle=f".lrow[data-level='{LEVEL}'] input", mark="data-seq", counted=True)
BARE = Subject(image="#ready", handle="input[type=range]", mark="data-mark", counted=False)


class Page(Record):
    """What one of the two pages took. Figures of drags: the median over the rounds of each round's figure."""

    what: str
    first: Latency
    requests: int
    bytes: int
    pointer: Latency
    keys: Latency


class Report(Record):
    """The whole of explorer.json."""

    circumstances: Circumstances
    rounds: int
    events: int
    pages: list[Page]
    targets: list[Target]


class Site:
    """A page that can be looked at while its processes may run."""

    def __init__(self, what: str, subject: Subject, servers: Sequence[Server], query: str) -> None:
        self.what, self.subject, self.servers, self.query = what, subject, servers, query
        self.loads: list[FirstLoad] = []
        self.pointer: list[list[float]] = []
        self.keys: list[list[float]] = []

    @contextmanager
    def awake(self) -> Iterator[str]:
        """Its address. The last of its servers is the one that people open."""
        with ExitStack() as stack:
            ports = [stack.enter_context(server.awake()) for server in self.servers]
            yield f"http://127.0.0.1:{ports[-1]}/"

    def turn(self, browser: Browser, number: int) -> None:
        """One first load, one drag and one row of keys, with images that were never asked for before."""
        with self.awake() as url:
            with opened(browser, self.subject, url) as (_, load):
                self.loads.append(load)
            with opened(browser, self.subject, url + self.query.format(token=token(2 * number))) as (page, _):
                self.pointer.append(drag(page, self.subject, EVENTS))
            with opened(browser, self.subject, url + self.query.format(token=token(2 * number + 1))) as (page, _):
                self.keys.append(press(page, self.subject, EVENTS))

    def page(self) -> Page:
        firsts = [load.first_ms / 1e3 for load in self.loads]
        return Page(
            what=self.what,
            first=Latency(what="first image", seconds=median(firsts), p95=percentile(firsts, 0.95)),
            requests=round(median([load.requests for load in self.loads])),
            bytes=round(median([load.bytes for load in self.loads])),
            pointer=summary("pointer", self.pointer),
            keys=summary("keys", self.keys),
        )


def token(seed: int) -> str:
    """A link to one image, with the level that is dragged cold."""
    levels = len(open_bundle(BUNDLES / MODEL).manifest.levels)
    temperature = [COLD if level == LEVEL else 1.0 for level in range(levels)]
    return to_token({"source": {"seed": seed}, "n": 1, "temperature": temperature})


def summary(what: str, rounds: Sequence[Sequence[float]]) -> Latency:
    p95 = median([percentile(one, 0.95) for one in rounds])
    return Latency(what=what, seconds=median([median(one) for one in rounds]), p95=p95)


def targets(ours: Page, bare: Page) -> list[Target]:
    """What was to be shown, as ratios to the bare page."""
    found = [
        Target(what=f"{name}, {kind}", wanted=wanted, measured=getattr(mine, field) / getattr(theirs, field))
        for name, mine, theirs in (("pointer", ours.pointer, bare.pointer), ("keys", ours.keys, bare.keys))
        for kind, field, wanted in (("median", "seconds", 1.6), ("95th percentile", "p95", 2.0))
    ]
    first = Target(what="first image", wanted=1.5, measured=ours.first.seconds / bare.first.seconds)
    return [*found, first]


def measure(rounds: int) -> list[Page]:
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())
        chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
        if chromium is None:
            raise SystemExit("needs Chromium; on Debian: apt-get install chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        stack.callback(browser.close)
        server = stack.enter_context(running(strata(BUNDLES)))
        explorer = stack.enter_context(running(module(sys.executable, "app", api=f"http://127.0.0.1:{server.port}")))
        bare = stack.enter_context(running(module(sys.executable, "benchmarks.bare_page")))
        sites = [
            Site("explorer", OURS, [server, explorer], f"?model={MODEL}&r={{token}}"),
            Site("bare Gradio page", BARE, [bare], ""),
        ]
        for number in range(rounds + 1):
            for site in sites[:: -1 if number % 2 else 1]:
                print(f"round {number} of {rounds}: {site.what}", file=sys.stderr)
                site.turn(browser, number)
        for site in sites:  # the first round warms up
            del site.loads[0], site.pointer[0], site.keys[0]
        return [site.page() for site in sites]


def markdown(report: Report) -> list[str]:
    """The report for people, as lines."""
    rows = [
        [
            page.what, *(_ms(x) for x in (page.first.seconds, page.pointer.seconds, page.pointer.p95,
            page.keys.seconds, page.keys.p95)), str(page.requests), f"{page.bytes / 1e3:,.0f} kB",
        ] for page in report.pages
    ]  # fmt: skip
    wanted = [
        [t.what, f"at most {t.wanted:g}", f"{t.measured:.2f}", "yes" if t.met else "**no**"] for t in report.targets
    ]
    header = ("ms", "first image", "pointer", "p95", "keys", "p95", "requests of the first load", "that travelled")
    return [
        "# The explorer beside a bare Gradio page",
        "",
        *report.circumstances.lines(),
        f"- medians over {report.rounds} rounds in which both pages take turns; {report.events} events a drag",
        "",
        *table(header, rows),
        "",
        *table(("in times of the bare page", "wanted", "measured", "met"), wanted),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.explorer", description="How quick the page feels.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    now = datetime.datetime.now(datetime.UTC)
    about = circumstances(torch.device("cpu"), now, f"python -m benchmarks.explorer --rounds {options.rounds}")
    pages = measure(options.rounds)
    report = Report(
        circumstances=about, rounds=options.rounds, events=EVENTS, pages=pages, targets=targets(pages[0], pages[1])
    )
    write(options.out, "explorer", report, markdown(report))
    print("\n".join(markdown(report)))
    return 0


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}" if seconds < 0.1 else f"{seconds * 1e3:.0f}"


if __name__ == "__main__":
    sys.exit(main())
