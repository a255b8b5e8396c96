"""Settings come from the environment and the command line, and a wrong one is named before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.__main__ import main
from server.settings import Settings


def test_every_setting_is_an_environment_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STRATA_PORT", "8123")
    monkeypatch.setenv("STRATA_ZOO", str(tmp_path))
    monkeypatch.setenv("STRATA_PROVIDER", "cpu")
    settings = Settings()
    assert (settings.port, settings.zoo, settings.provider) == (8123, tmp_path, "cpu")


def test_by_default_only_this_machine_is_served() -> None:
    assert Settings().host == "127.0.0.1"
    assert Settings().threads >= 1


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    served: list[Settings] = []
    monkeypatch.setenv("STRATA_PORT", "8123")
    monkeypatch.setattr("server.__main__.serve", lambda app, service: served.append(service.settings))
    assert main(["--port", "8124", "--zoo", str(tmp_path)]) == 0
    assert (served[0].host, served[0].port) == ("127.0.0.1", 8124)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("STRATA_THREADS", "0", "setting threads:"), ("STRATA_PROVIDER", "tpu", "setting provider:")],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    assert main([]) == 2
    assert message in capsys.readouterr().err
