"""The containers: small, without root or a writable disk, and nobody but this host reaches them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic.fields import FieldInfo

from server.settings import Settings

IMAGES = ["server", "app"]
PINNED = re.compile(r"[a-z0-9./-]+:v?[0-9]+\.[0-9]+\.[0-9]+[a-z0-9.-]*")
OF_OTHERS = {"STRATA_CPUS", "STRATA_MEMORY", "STRATA_BUNDLES", "STRATA_APP_PORT", "STRATA_PROMETHEUS_PORT"}


@pytest.fixture(scope="module")
def compose(root: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((root / "docker-compose.yml").read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = compose["services"]
    return services


def instructions(root: Path, image: str) -> list[tuple[str, str]]:
    """Every instruction of a Dockerfile with its arguments, lines that go on joined."""
    text = (root / "docker" / f"{image}.Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def of(root: Path, image: str, instruction: str) -> list[str]:
    return [rest for word, rest in instructions(root, image) if word == instruction]


# --- images ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_built_on_one_exact_version_and_leaves_the_builder_behind(root: Path, image: str) -> None:
    bases = [rest.split()[0] for rest in of(root, image, "FROM")]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert PINNED.fullmatch(bases[0])
    last = [word for word, _ in instructions(root, image)]
    assert "RUN" not in last[len(last) - last[::-1].index("FROM") :], "nothing is installed in what is shipped"


@pytest.mark.parametrize(("image", "extras"), [("server", {"server", "${DEVICE}"}), ("app", {"app"})])
def test_an_image_installs_its_extras_under_the_constraints_and_no_torch(
    root: Path, image: str, extras: set[str]
) -> None:
    [run] = of(root, image, "RUN")
    words = shlex.split(run)
    assert words[words.index("-c") + 1] == "constraints.txt"
    assert set(words[-1].removeprefix(".[").removesuffix("]").split(",")) == extras
    assert "--no-cache-dir" in words


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_not_root_and_says_how_it_is(root: Path, image: str) -> None:
    [user] = of(root, image, "USER")
    assert int(user.split(":")[0]) > 999
    [check] = of(root, image, "HEALTHCHECK")
    [port] = of(root, image, "EXPOSE")
    assert f"http://127.0.0.1:{port}/" in check
    [command] = of(root, image, "CMD")
    assert command == f'["python", "-m", "{image}"]'


@pytest.mark.parametrize("image", IMAGES)
def test_what_an_image_copies_is_there_and_reaches_the_builder(root: Path, image: str) -> None:
    ignored = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = {name for rest in of(root, image, "COPY") if "--from" not in rest for name in rest.split()[:-1]}
    assert copied >= {"pyproject.toml", "constraints.txt", image}
    for name in copied:
        assert (root / name).exists()
        assert f"!{name}" in ignored


# --- compose --------------------------------------------------------------------------------------------------------


def test_each_profile_has_one_server_and_the_explorer(services: dict[str, dict[str, Any]]) -> None:
    profiles = {
        profile: {name for name, service in services.items() if profile in service["profiles"]}
        for profile in ("cpu", "gpu", "metrics")
    }
    assert profiles == {"cpu": {"server", "app"}, "gpu": {"server-gpu", "app"}, "metrics": {"prometheus"}}
    assert all(service["profiles"] for service in services.values())


def test_the_explorer_waits_for_whichever_server_there_is(services: dict[str, dict[str, Any]]) -> None:
    wanted = {"condition": "service_healthy", "required": False}
    assert services["app"]["depends_on"] == {"server": wanted, "server-gpu": wanted}
    assert "http://server:8000" in services["app"]["command"]
    assert services["server-gpu"]["networks"] == {"default": {"aliases": ["server"]}}


def test_no_service_can_write_gain_rights_or_use_up_the_host(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
        assert {"cpus", "memory", "pids"} <= service["deploy"]["resources"]["limits"].keys()
        assert all("size=" in mount and "noexec" in mount for mount in service.get("tmpfs", []))
        assert all("docker.sock" not in volume for volume in service.get("volumes", []))


def test_only_this_host_reaches_a_service(services: dict[str, dict[str, Any]]) -> None:
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service["ports"])


def test_every_image_is_one_of_ours_or_pinned_and_none_runs_as_root(
    root: Path, services: dict[str, dict[str, Any]]
) -> None:
    for service in services.values():
        if "build" in service:
            assert (root / service["build"]["dockerfile"]).is_file()
        else:
            assert PINNED.fullmatch(service["image"])
            assert int(service["user"].split(":")[0]) > 999
            assert service["healthcheck"]["test"][0] == "CMD"


def test_the_gpu_server_is_the_cpu_one_on_cuda(services: dict[str, dict[str, Any]]) -> None:
    cpu, gpu = services["server"], services["server-gpu"]
    assert gpu["environment"] == cpu["environment"] | {"STRATA_PROVIDER": "cuda"}
    assert gpu["build"] == cpu["build"] | {"args": {"DEVICE": "gpu"}}
    [device] = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_prometheus_asks_the_server(root: Path, services: dict[str, dict[str, Any]]) -> None:
    document = yaml.safe_load((root / "docker" / "prometheus.yml").read_text(encoding="utf-8"))
    [job] = document["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["server:8000"]}]
    assert "./docker/prometheus.yml:/etc/prometheus/prometheus.yml:ro" in services["prometheus"]["volumes"]


def test_the_settings_exist_and_the_variables_have_defaults(root: Path, services: dict[str, dict[str, Any]]) -> None:
    fields: dict[str, FieldInfo] = Settings.model_fields
    for name in services["server"]["environment"]:
        assert name.removeprefix("STRATA_").lower() in fields, name
    used = re.findall(r"\$\{(\w+)(:-[^}]*)?\}", (root / "docker-compose.yml").read_text(encoding="utf-8"))
    assert all(default for _, default in used)
    assert {name for name, _ in used} - OF_OTHERS <= set(services["server"]["environment"])
