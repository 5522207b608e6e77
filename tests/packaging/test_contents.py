"""What the built distributions hold."""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NAMES = ["neurenix", "neurenix-core", "neurenix-transfer"]


def wheel_files(dist: Path, name: str) -> set[str]:
    with zipfile.ZipFile(find(dist, name, ".whl")) as archive:
        return set(archive.namelist())


def find(dist: Path, name: str, suffix: str) -> Path:
    stem = name.replace("-", "_")
    (path,) = [path for path in dist.iterdir() if re.match(rf"{stem}-\d.*{suffix}$", path.name)]
    return path


def metadata(dist: Path, name: str) -> Message:
    with zipfile.ZipFile(find(dist, name, ".whl")) as archive:
        (inside,) = [file for file in archive.namelist() if file.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(inside).decode())


def requirements(dist: Path, name: str) -> dict[str, Requirement]:
    parsed = [Requirement(text) for text in metadata(dist, name).get_all("Requires-Dist", [])]
    return {canonicalize_name(item.name): item for item in parsed if item.marker is None}


def test_no_two_wheels_own_a_file(dist: Path) -> None:
    owners: dict[str, str] = {}
    for name in NAMES:
        for file in wheel_files(dist, name):
            assert file not in owners, f"{file} is in {owners[file]} and in {name}"
            owners[file] = name
    assert owners["neurenix/__init__.py"] == "neurenix-core"
    assert owners["neurenix/transfer/utils.py"] == "neurenix-core"
    assert owners["neurenix_transfer/__init__.py"] == "neurenix-transfer"


def test_the_meta_wheel_has_no_module(dist: Path) -> None:
    assert all(".dist-info/" in file for file in wheel_files(dist, "neurenix"))


@pytest.mark.parametrize("name", ["neurenix-core", "neurenix-transfer"])
def test_wheels_are_typed_and_hold_one_package(dist: Path, name: str) -> None:
    # Beside it stand core's options for pytest, which every run of pytest imports.
    package = {"neurenix-core": "neurenix", "neurenix-transfer": "neurenix_transfer"}[name]
    files = wheel_files(dist, name)
    assert f"{package}/py.typed" in files
    tops = {file.partition("/")[0] for file in files}
    options = {"neurenix_pytest"} if package == "neurenix" else set()
    assert {top for top in tops if not top.endswith(".dist-info")} == {package} | options


@pytest.mark.parametrize("name", NAMES)
def test_wheels_carry_the_licence(dist: Path, name: str) -> None:
    assert [file for file in wheel_files(dist, name) if file.endswith("licenses/LICENSE")]


@pytest.mark.parametrize("name", NAMES)
def test_sdists_carry_licence_readme_and_changelog(dist: Path, name: str) -> None:
    with tarfile.open(find(dist, name, ".tar.gz")) as archive:
        inside = {file.partition("/")[2] for file in archive.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "PKG-INFO", "pyproject.toml"} <= inside
    if name == "neurenix":
        assert not [file for file in inside if file.endswith(".py")]


def test_the_licence_is_the_same_everywhere(folders: dict[str, Path]) -> None:
    texts = {(folder / "LICENSE").read_bytes() for folder in folders.values()}
    assert len(texts) == 1
    assert b"Apache License" in texts.pop()


def test_core_depends_on_five_packages_and_on_no_backend(dist: Path) -> None:
    assert set(requirements(dist, "neurenix-core")) == {
        "numpy",
        "ml-dtypes",
        "pluggy",
        "importlib-metadata",
        "safetensors",
    }


@pytest.mark.parametrize("name", ["neurenix", "neurenix-transfer"])
def test_bounds_on_core_admit_its_major_version_only(dist: Path, name: str) -> None:
    core = metadata(dist, "neurenix-core")["Version"]
    bound = requirements(dist, name)["neurenix-core"].specifier
    major = int(core.partition(".")[0])
    assert core in bound
    assert f"{major}.99" in bound
    assert f"{major + 1}.0" not in bound
    assert f"{major - 1}.99" not in bound


def test_the_meta_distribution_starts_at_3(dist: Path) -> None:
    found = metadata(dist, "neurenix")
    assert int(found["Version"].partition(".")[0]) >= 3
    assert {"neurenix-transfer", "pillow", "huggingface-hub", "rich", "typer", "matplotlib"} <= set(
        requirements(dist, "neurenix")
    )
    assert found.get_all("Provides-Extra") == ["demo", "text"]


@pytest.mark.parametrize("name", NAMES)
def test_the_changelog_begins_with_the_version(
    dist: Path, folders: dict[str, Path], name: str
) -> None:
    text = (folders[name] / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", text, flags=re.MULTILINE)
    assert newest
    assert newest[1] == metadata(dist, name)["Version"]


def test_metadata_is_complete(dist: Path, run: Callable[..., str]) -> None:
    output = run(sys.executable, "-m", "twine", "check", "--strict", *sorted(dist.iterdir()))
    assert output.count("PASSED") == 2 * len(NAMES)
