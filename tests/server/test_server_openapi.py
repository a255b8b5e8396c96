"""The server does what its OpenAPI document says: schemathesis, with all its checks and phases, against a real one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import served

from server.auth import new_token, token_hash

CONFIG = Path(__file__).with_name("schemathesis.toml")
PHASES = "examples,coverage,fuzzing,stateful"


def test_schemathesis_finds_no_failure(toy_zoo: Path, tmp_path: Path) -> None:
    token = new_token()
    with served.process(toy_zoo, {"STRATA_TOKENS": token_hash(token)}, tmp_path / "log") as (address, _):
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)]
        command += ["run", f"{address}/openapi.json", "--header", f"Authorization: Bearer {token}"]
        command += ["--checks", "all", "--phases", PHASES, "--max-examples", "15", "--seed", "1"]
        command += ["--generation-database", "none", "--no-color"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-6000:]
    assert all(f"✅ {phase.capitalize()}" in done.stdout for phase in PHASES.split(",")), done.stdout
