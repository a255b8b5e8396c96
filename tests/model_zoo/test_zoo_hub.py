"""A bundle on the Hugging Face Hub, told through a client that keeps its repository in a folder."""

from __future__ import annotations

import inspect
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi
from tiny_bundle import write_bundle

from model_zoo.bundle import open_bundle
from model_zoo.fetch import Progress
from model_zoo.hub import Client, Hub
from model_zoo.manifest import File
from model_zoo.place import PlaceError
from model_zoo.pull import pull


@dataclass
class Repository:
    """What of HfApi is used, on a folder."""

    root: Path
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    commits: list[dict[str, Any]] = field(default_factory=list)

    def hf_hub_download(self, repo_id: str, filename: str, *, revision: str | None, local_dir: Path) -> str:
        self.asked.append((repo_id, filename, revision))
        target = local_dir / filename
        target.parent.mkdir(parents=True, exist_ok=True)
        (local_dir / ".cache").mkdir(exist_ok=True)
        (local_dir / ".cache" / "etag").write_text("what the real one leaves behind")
        shutil.copyfile(self.root / filename, target)
        return str(target)

    def upload_folder(
        self,
        *,
        repo_id: str,
        folder_path: Path,
        path_in_repo: str | None,
        commit_message: str,
        revision: str | None,
        ignore_patterns: list[str],
    ) -> Any:
        self.commits.append({"repo": repo_id, "message": commit_message, "revision": revision})
        ignore = shutil.ignore_patterns(*(pattern.rpartition("/")[2] for pattern in ignore_patterns))
        shutil.copytree(folder_path, self.root / (path_in_repo or ""), dirs_exist_ok=True, ignore=ignore)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    (tmp_path / "hub").mkdir()
    return Repository(tmp_path / "hub")


def silent(name: str, file: File) -> Progress:
    return lambda done: None


def test_a_bundle_comes_from_a_folder_of_a_repository_at_a_revision(repository: Repository, tmp_path: Path) -> None:
    write_bundle(repository.root / "zoo" / "tiny")
    place = Hub("hf://strata/models@v1/zoo/tiny", repository)
    assert place.name == "tiny"
    bundle = pull(place, tmp_path / "zoo" / "tiny", silent)
    assert bundle.digest == open_bundle(repository.root / "zoo" / "tiny").digest
    assert repository.asked[0] == ("strata/models", "zoo/tiny/manifest.json", "v1")
    assert [path.name for path in (tmp_path / "zoo").iterdir()] == ["tiny"]
    assert not (tmp_path / "zoo" / "tiny" / ".hub").exists()


def test_a_push_is_one_commit_and_comes_back(repository: Repository, tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny")
    (tmp_path / "tiny" / ".note").write_text("not for others")
    bundle = open_bundle(tmp_path / "tiny")
    place = Hub("hf://strata/tiny", repository)
    place.push(bundle, silent)
    assert repository.commits == [
        {"repo": "strata/tiny", "message": f"tiny: bundle {bundle.digest[:12]}", "revision": None}
    ]
    assert not (repository.root / ".note").exists()
    assert pull(place, tmp_path / "again", silent).digest == bundle.digest


def test_what_the_hub_answers_is_told(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(PlaceError, match=r"could not fetch manifest\.json of strata/none: .*No such file"):
        pull(Hub("hf://strata/none", repository), tmp_path / "none", silent)


@pytest.mark.parametrize("address", ["hf://", "hf://owner", "hf://owner/repo@", "hf://owner/repo/a b", "hf:///a/b"])
def test_an_address_that_is_none_is_refused(address: str, repository: Repository) -> None:
    with pytest.raises(PlaceError, match=r"a bundle on the Hub is hf://owner/repo"):
        Hub(address, repository)


@pytest.mark.parametrize("name", ["hf_hub_download", "upload_folder"])
def test_the_real_client_takes_the_arguments_that_are_given(name: str) -> None:
    wanted = inspect.signature(getattr(Client, name)).parameters
    real = inspect.signature(getattr(HfApi, name)).parameters
    assert [name for name in wanted if name not in real] == []
    assert [name for name, given in real.items() if given.default is given.empty and name not in wanted] == []


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(PlaceError, match=r"pip install 'strata\[hub\]'"):
        Hub("hf://strata/tiny")
