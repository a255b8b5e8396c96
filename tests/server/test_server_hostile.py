"""2,000 requests that nobody honest sends: no fault of the server, no hang, and no memory that grows."""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import served
from PIL import Image

SAMPLE = "/v1/models/vdvae-toy/sample"
ENCODE = "/v1/models/vdvae-toy/encode"
EACH = 200  # requests of each of the ten kinds
SECONDS = 20.0  # in which each is answered, on a busy machine too
MEBIBYTE = 1 << 20
MAY_GROW = 160 * MEBIBYTE  # at its peak: an image of 16 megapixels being read, but none of the bombs unpacked

Rng = np.random.Generator
Request = tuple[str, str, bytes, dict[str, str]]  # method, path, body, headers
JSON = {"Content-Type": "application/json"}


def post_json(body: bytes) -> Request:
    return "POST", SAMPLE, body, JSON


def upload(body: bytes, kind: str) -> Request:
    return "POST", ENCODE, body, {"Content-Type": f"image/{kind}"}


def picture(rng: Rng, kind: str, side: int = 24) -> bytes:
    """An honest file to spoil."""
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).save(buffer, kind.upper())
    return buffer.getvalue()


def kind_of(rng: Rng) -> str:
    return str(rng.choice(["png", "jpeg", "webp"]))


def png(width: int, height: int, colour: int, data: bytes, extra: bytes = b"") -> bytes:
    """A PNG file whose header promises what it likes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def truncated(rng: Rng) -> Request:
    kind = kind_of(rng)
    content = picture(rng, kind)
    return upload(content[: int(rng.integers(0, len(content)))], kind)


def flipped(rng: Rng) -> Request:
    kind = kind_of(rng)
    content = np.frombuffer(picture(rng, kind), np.uint8).copy()
    for place in rng.integers(0, len(content), int(rng.integers(1, 20))):
        content[place] ^= 1 << int(rng.integers(8))
    return upload(content.tobytes(), str(rng.choice([kind, kind_of(rng)])))


def noise(rng: Rng) -> Request:
    starts = [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\xff\xff\xff\xffWEBPVP8 ", b"GIF89a", b"%PDF"]
    return upload(starts[int(rng.integers(len(starts)))] + rng.bytes(int(rng.integers(0, 3000))), kind_of(rng))


BLANK = zlib.compress(bytes(200 * MEBIBYTE), 9)  # 200 KiB that unpack to a thousand times as much


def bomb(rng: Rng) -> Request:
    """Files that promise, or unpack to, far more than they are."""
    side = int(rng.choice([4097, 30_000, 100_000, 2**31 - 1]))
    webp = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + (side % 2**24).to_bytes(3, "little") * 2 + bytes(4)
    jpeg = b"\xff\xd8\xff\xc0\0\x11\x08" + struct.pack(">HH", min(side, 65_535), 65_535) + b"\3\1\x22\0\2\x11\1\3\x11\1"
    packed = base64.b64encode(png(side, 1, 0, BLANK)).decode()
    choices: list[Callable[[], Request]] = [
        lambda: upload(png(side, side, 2, BLANK), "png"),
        lambda: upload(png(8, 8, 2, BLANK), "png"),
        lambda: upload(png(8, 8, 0, zlib.compress(bytes(72)), _text_chunk(BLANK)), "png"),
        lambda: upload(webp, "webp"),
        lambda: upload(jpeg, "jpeg"),
        lambda: post_json(json.dumps({"source": {"image": packed}}).encode()),
    ]
    return choices[int(rng.integers(len(choices)))]()


def _text_chunk(packed: bytes) -> bytes:
    content = b"strata.recipe\0\0" + packed
    return struct.pack(">I", len(content)) + b"zTXt" + content + struct.pack(">I", zlib.crc32(b"zTXt" + content))


def token(rng: Rng) -> Request:
    """Permalinks that are none, cut short, or unpack to more than a recipe is."""
    bodies = [
        b"{}" * int(rng.integers(2, 50)),
        b'{"n": 1' + b" " * (2 * MEBIBYTE),
        b"[" * 100_000,
        rng.bytes(50),
        b'{"source": {"image": "' + b"A" * MEBIBYTE + b'"}}',
    ]
    packed = zlib.compress(bodies[int(rng.integers(len(bodies)))], 9)[: int(rng.integers(1, 4000))]
    text = base64.urlsafe_b64encode(packed).rstrip(b"=").decode()
    return "GET", f"{SAMPLE}?r={text}", b"", {}


VALUES: list[Any] = [
    *(None, True, -1, 1.5, 10**30, -(10**4000), 1e308, float("nan"), float("inf"), float("-inf")),
    *("", "7", "\0", "\ud800", "é" * 1000, "../../etc/passwd", "1x1..9999999999999999999x1"),
    *([], [[]], [None] * 500, {}, {"seed": {}}, {"__proto__": 1}),
]
KEYS = ["recipe_version", "source", "n", "temperature", "levels", "edits", "output", "seed", "image", "latents", "mask"]


def wrong_type(rng: Rng) -> Request:
    recipe: dict[str, Any] = {
        "source": {"seed": 1},
        "n": 2,
        "edits": [{"op": "keep", "levels": [0]}],
        "levels": {"0": {}},
    }
    for _ in range(int(rng.integers(1, 4))):
        target = recipe if rng.random() < 0.5 else recipe.get("source")
        value = VALUES[int(rng.integers(len(VALUES)))]
        if isinstance(target, dict):
            target[str(rng.choice(KEYS))] = value
    return post_json(json.dumps(recipe).encode())


def huge_number(rng: Rng) -> Request:
    digits = "9" * int(rng.choice([20, 400, 5000, 200_000]))
    number = str(rng.choice([digits, f"-{digits}", f"0.{digits}", f"1e{digits[:6]}", f"{digits}e-9", "1E400", "-0"]))
    where = str(
        rng.choice(['{"n": %s}', '{"source": {"seed": %s}}', '{"temperature": [%s]}', '{"levels": {"%s": {}}}'])
    )
    return post_json((where % number).encode())


def nested(rng: Rng) -> Request:
    depth = int(rng.choice([30, 500, 5000, 100_000]))
    pairs = [('{"edits":', "}"), ("[", "]"), ('{"source":', "}"), ('[{"levels":', "}]")]
    opening, closing = pairs[int(rng.integers(4))]
    text = opening * depth + "1" + (closing * depth if rng.random() < 0.7 else "")
    body = (f'{{"edits": {text}}}' if rng.random() < 0.5 else text).encode()
    return post_json(body[: int(1.5 * MEBIBYTE)])


STRANGE = ["\0", "\u202e", "🎲" * 50, "a\u0300" * 200, "％00", "\uffff", "İ", "\x1b[31m", "'; DROP TABLE", "<script>"]


def unicode(rng: Rng) -> Request:
    text = "".join(str(rng.choice(STRANGE)) for _ in range(3))
    raw = rng.bytes(20)
    bodies = [
        json.dumps({text: text}).encode("utf-8", "surrogatepass"),
        json.dumps({"source": {"latents": text}}, ensure_ascii=False).encode("utf-8"),
        json.dumps({"edits": [{"op": text, "levels": text}]}).encode("utf-16"),
        b'{"source": {"image": "' + raw + b'"}}',
        b"\xef\xbb\xbf{}" + raw,
    ]
    return post_json(bodies[int(rng.integers(len(bodies)))])


def path(rng: Rng) -> Request:
    """Names that would lead out of the zoo if they were ever joined to a path."""
    parts = ["..", "%2e%2e", "%2f", "..%2f..", "%00", "vdvae-toy", "etc", "passwd", "%c0%ae", "....", "~root", "%5c.."]
    names = "/".join(str(part) for part in rng.choice(parts, int(rng.integers(1, 6))))
    wholes = [f"/v1/models/{names}", f"/v1/models/{names}/sample?r=x", f"/v1/models/{names}/examples/0", f"/{names}"]
    wholes += [f"/v1/models/vdvae-toy/examples/{names}", f"/v1/models/vdvae-toy/examples/{'9' * 5000}"]
    return "GET", wholes[int(rng.integers(len(wholes)))], b"", {"X-Request-Id": "../../x", "Accept": "*/*;q=" + names}


HOSTILE = [truncated, flipped, noise, bomb, token, wrong_type, huge_number, nested, unicode, path]


@pytest.fixture(scope="module")
def server(toy_zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """The address of a server, and the number of its process."""
    log = tmp_path_factory.mktemp("hostile") / "log"
    with served.process(toy_zoo, {"STRATA_WORKERS": "2"}, log) as (address, process):
        yield address, process.pid
        assert process.poll() is None
    assert "Traceback" not in log.read_text()


def peak(pid: int) -> int:
    """The most bytes of memory that a process ever had."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("needs /proc")
    [kib] = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())
    return int(kib) * 1024


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_hostile_requests_are_refused_and_nothing_else_happens(
    server: tuple[str, int], make: Callable[[Rng], Request]
) -> None:
    address, pid = server
    rng = np.random.default_rng(zlib.crc32(make.__name__.encode()))
    statuses: Counter[int] = Counter()
    with httpx.Client(base_url=address, timeout=SECONDS) as client:
        client.post(ENCODE, content=picture(rng, "png"), headers={"Content-Type": "image/png"})  # all is loaded now
        before = peak(pid)
        for _ in range(EACH):
            method, address_path, body, headers = make(rng)
            response = client.request(method, address_path, content=body, headers=headers)
            statuses[response.status_code] += 1
            if response.status_code >= 400:
                document = response.json()
                assert response.headers["content-type"] == "application/problem+json", address_path
                assert (document["status"], "Traceback" in response.text) == (response.status_code, False)
            assert len(response.content) < MEBIBYTE
        assert client.get("/healthz").status_code == 200
        assert peak(pid) - before < MAY_GROW
    assert {status for status in statuses if status >= 500} == set(), statuses
    assert sum(count for status, count in statuses.items() if status >= 400) >= EACH / 4, statuses
