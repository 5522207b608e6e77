"""What the built distributions hold."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from build_distributions import build, buildable, find_distributions, is_pure
from changelog import MARKER, problems_of_changelog
from native_engine import ENGINE, needs_engine
from package_index import distribution_files, write_index
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

NAMES = buildable()
# Native ones take minutes to build, and their bits depend on the folder they are built in.
PURE = [name for name in NAMES if is_pure(find_distributions()[name])]
ENGINE_LIMIT_BYTES = 6e6


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


@needs_engine
def test_the_engine_is_one_small_wheel_for_all_python_versions(dist: Path) -> None:
    wheel = find(dist, ENGINE, ".whl")
    assert "-cp311-abi3-" in wheel.name
    files = wheel_files(dist, ENGINE)
    package = "neurenix_backend_cpu"
    assert {file.partition("/")[0] for file in files if ".dist-info/" not in file} == {package}
    assert {f"{package}/py.typed", f"{package}/_native.pyi"} <= files
    size = wheel.stat().st_size
    print(f"\n{wheel.name}: {size / 1e6:.2f} MB")  # noqa: T201
    assert size <= ENGINE_LIMIT_BYTES


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


@pytest.mark.parametrize("name", [name for name in NAMES if name != "neurenix-core"])
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
    assert {
        ENGINE,
        "neurenix-transfer",
        "pillow",
        "huggingface-hub",
        "rich",
        "typer",
        "matplotlib",
    } <= set(requirements(dist, "neurenix"))
    assert set(found.get_all("Provides-Extra", [])) == {"cuda", "demo", "rocm", "text"}
    asked = [Requirement(text) for text in found.get_all("Requires-Dist", [])]
    gpu = [item for item in asked if item.name == "neurenix-backend-cuda"]
    assert [item.extras for item in gpu] == [{"libraries"}], "NVIDIA's libraries come with it"


@pytest.mark.parametrize("name", NAMES)
def test_the_changelog_is_in_order(dist: Path, folders: dict[str, Path], name: str) -> None:
    assert problems_of_changelog(folders[name]) == []
    with tarfile.open(find(dist, name, ".tar.gz")) as archive:
        (inside,) = [file for file in archive.getnames() if file.endswith("/CHANGELOG.md")]
        content = archive.extractfile(inside)
        assert content
        text = content.read().decode()
    newest = re.search(r"^## (\S+)", text, flags=re.MULTILINE)
    # Before a release its section is not written yet; after it, it is the first.
    assert newest is None or Version(newest[1]) <= Version(metadata(dist, name)["Version"])


@pytest.mark.parametrize("name", PURE)
def test_the_sdist_builds_the_wheel_that_the_folder_builds(
    dist: Path, folders: dict[str, Path], name: str, tmp_path: Path
) -> None:
    build(folders[name], tmp_path, from_sdist=False)
    (ours,) = tmp_path.glob("*.whl")
    theirs = find(dist, name, ".whl")
    assert ours.name == theirs.name
    with zipfile.ZipFile(ours) as one, zipfile.ZipFile(theirs) as other:
        assert one.namelist() == other.namelist()
        for file in one.namelist():
            assert one.read(file) == other.read(file), f"{file} differs"


def test_metadata_is_complete(dist: Path, run: Callable[..., str]) -> None:
    paths = distribution_files(dist)
    output = run(sys.executable, "-m", "twine", "check", "--strict", *paths)
    assert output.count("PASSED") == len(paths) == 2 * len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_index_lists_wheel_and_sdist(dist: Path, name: str, tmp_path: Path) -> None:
    for path in distribution_files(dist):
        shutil.copyfile(path, tmp_path / path.name)
    simple = write_index(tmp_path)
    assert f'<a href="{name}/">{name}</a>' in (simple / "index.html").read_text()
    page = (simple / name / "index.html").read_text()
    for suffix in (".whl", ".tar.gz"):
        path = find(dist, name, suffix)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert f'href="../../{path.name}#sha256={digest}"' in page
    assert 'data-requires-python="&gt;=3.11"' in page


@pytest.mark.parametrize("name", NAMES)
def test_a_release_takes_its_changes_from_the_fragments(
    folders: dict[str, Path], name: str, tmp_path: Path, run: Callable[..., str]
) -> None:
    """The step of a release that writes the changelog, on a copy."""
    for kept in ("CHANGELOG.md", "towncrier.toml"):
        shutil.copyfile(folders[name] / kept, tmp_path / kept)
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "changelog.d" / "+square-plus.added.md").write_text("`square_plus`.\n")
    (tmp_path / "changelog.d" / "+nan.fixed.md").write_text("No NaN\nat 0.\n")
    run("git", "init", "--quiet", tmp_path)
    settings = ("--dir", tmp_path, "--config", tmp_path / "towncrier.toml", "--version", "99.0.0")
    run(
        sys.executable,
        "-m",
        "towncrier",
        "build",
        "--yes",
        "--date",
        "2030-01-31",
        *settings,
        cwd=tmp_path,
    )
    assert problems_of_changelog(tmp_path) == []
    _, _, written = (tmp_path / "CHANGELOG.md").read_text().partition(MARKER)
    assert written.lstrip().startswith(
        "## 99.0.0 (2030-01-31)\n\n### Added\n\n- `square_plus`.\n\n"
        "### Fixed\n\n- No NaN\n  at 0.\n"
    )
    assert not list((tmp_path / "changelog.d").iterdir())
