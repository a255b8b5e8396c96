"""The launcher starts everything, announces once all is ready, and leaves nothing running behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.run import LaunchError, Running, Service, free_port, main, run, wait_until_ready

ANSWERS = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(sys.argv[2]))
        self.end_headers()
        self.wfile.write(sys.argv[3].encode())

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

STUBBORN = """
import os, pathlib, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
"""

SLOW_TO_STOP = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: time.sleep(60))
"""

# Somebody who presses Ctrl-C when all is ready, and once more while the services are stopping.
IMPATIENT = """
import os, signal, sys, threading
from app.run import Service, run

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

def announce():
    threading.Timer(1.0, interrupt).start()
    interrupt()

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
program, *ports = sys.argv[1:]
commands = [(sys.executable, "-c", program, port, "200", "") for port in ports]
run([Service(port, command, f"http://127.0.0.1:{port}/") for port, command in zip(ports, commands)], announce)
"""


def service(name: str, program: str, *arguments: str, port: int = 1) -> Service:
    return Service(name, (sys.executable, "-c", program, *arguments), f"http://127.0.0.1:{port}/")


def answering(name: str, port: int, status: int = 200, body: str = "") -> Service:
    return service(name, ANSWERS, str(port), str(status), body, port=port)


@pytest.fixture
def ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def is_busy(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def interrupt() -> None:
    raise KeyboardInterrupt


def test_it_announces_when_all_are_ready_and_an_interrupt_stops_all(ports: tuple[int, int]) -> None:
    def announce() -> None:
        assert all(map(is_busy, ports))
        interrupt()

    with pytest.raises(KeyboardInterrupt):
        run([answering("server", ports[0]), answering("explorer", ports[1])], announce)
    assert not any(map(is_busy, ports))


def test_one_that_dies_stops_the_other_and_its_last_words_are_shown(ports: tuple[int, int]) -> None:
    dying = service("server", "print('no bundle here'); raise SystemExit(3)")
    with pytest.raises(LaunchError, match=r"(?s)The server stopped \(exit code 3\):\n  no bundle here"):
        run([dying, answering("explorer", ports[1])], interrupt)
    assert not is_busy(ports[1])


def test_one_that_dies_later_stops_the_other_too(ports: tuple[int, int], tmp_path: Path) -> None:
    until = tmp_path / "ready"
    mortal = "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.05)\n"
    with pytest.raises(LaunchError, match="The explorer stopped"):
        run(
            [
                answering("server", ports[0]),
                Service("explorer", (sys.executable, "-c", mortal, str(until)), f"http://127.0.0.1:{ports[0]}/"),
            ],
            announce=until.touch,
        )
    assert not is_busy(ports[0])


def test_the_reason_for_not_being_ready_is_shown(ports: tuple[int, int], capsys: pytest.CaptureFixture[str]) -> None:
    unready = answering("server", ports[0], 503, '{"detail": "There is no bundle in zoo"}')
    running = Running(unready)
    try:
        while not is_busy(ports[0]):
            running.check()
            time.sleep(0.05)
        with pytest.raises(LaunchError, match="The server is not ready: There is no bundle in zoo"):
            wait_until_ready(unready, [running], deadline=time.monotonic())
    finally:
        running.stop()
    assert capsys.readouterr().err == "Waiting for the server: There is no bundle in zoo\n"


def test_one_that_ignores_the_request_to_stop_is_killed(ports: tuple[int, int], tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    stubborn = STUBBORN + f"pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\n" + ANSWERS
    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run([service("server", stubborn, str(ports[0]), "200", "", port=ports[0])], interrupt)
    assert time.monotonic() - before < 120
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_an_impatient_second_interrupt_stops_all_the_same(ports: tuple[int, int]) -> None:
    command = [sys.executable, "-c", IMPATIENT, SLOW_TO_STOP + ANSWERS, *map(str, ports)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert "KeyboardInterrupt" in done.stderr
    assert not any(map(is_busy, ports))


def test_a_busy_port_makes_way_for_the_next_free_one() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        first = busy.getsockname()[1]
        chosen = free_port(first)
        assert first < chosen < first + 20
        assert free_port(first, taken=[chosen]) > chosen


def test_when_no_port_is_left_it_says_which_were_tried() -> None:
    with pytest.raises(LaunchError, match="No port from 7860 to 7879 is free"):
        free_port(7860, taken=range(7860, 7880))


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_an_impossible_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--port", port])
    assert "--port" in capsys.readouterr().err
