"""`neurenix new-backend` writes a package that works; the tutorial goes through that package."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markdown_blocks import python_blocks
from plugin_installer import run_with

RunKit = Callable[..., dict[str, Any]]
TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "guide" / "backend.md"
SHELL = "from neurenix.cli import main; main()"


def generate(name: str, out: Path, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("typer")
    return run_with(out, "-c", SHELL, "new-backend", name, "--out", str(out), check=check)


def build_and_install(project: Path, site: Path) -> None:
    """Install a project by pip, built by its own build backend, into a folder for PYTHONPATH."""
    pytest.importorskip("hatchling")
    pytest.importorskip("pip")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--upgrade"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", site, project]
    subprocess.run(command, check=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("new")
    generate("tpu_like", place)
    return place / "neurenix-backend-tpu-like"


@pytest.fixture(scope="module")
def site(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build_and_install(project, folder)
    return folder


def test_nothing_is_left_to_be_filled_in(project: Path) -> None:
    for path in project.rglob("*"):
        if path.is_file():
            assert not re.search(r"@[a-z]+@", path.read_text(encoding="utf-8")), path


def test_the_package_is_complete(project: Path) -> None:
    files = {path.relative_to(project).as_posix() for path in project.rglob("*")}
    assert {"LICENSE", "README.md", ".github/workflows/test.yml", "overrides.toml"} <= files
    assert "src/neurenix_backend_tpu_like/py.typed" in files


def test_the_distribution_has_its_entry_point_and_bounds(site: Path) -> None:
    (information,) = site.glob("neurenix_backend_tpu_like-*.dist-info")
    metadata = (information / "METADATA").read_text(encoding="utf-8")
    assert "Requires-Dist: neurenix-core<4,>=3.0" in metadata
    entry_points = (information / "entry_points.txt").read_text(encoding="utf-8")
    assert "tpu_like = neurenix_backend_tpu_like" in entry_points


@pytest.mark.parametrize("level", ["l0_storage", "l1_primitives"])
def test_it_passes_the_kit_as_generated(level: str, site: Path, run_kit: RunKit) -> None:
    # One op of each kind; the tutorial's test runs the whole kit on the same code.
    ops = "--neurenix-ops=add,exp,eq,cast,sum,argmax,matmul,gather,random_bits,reshape,slice"
    found = run_kit(site, "tpu_like", ops, module=f"neurenix.testing.conformance.test_{level}")
    assert found["code"] == 0, found["output"][-4000:]
    assert found["distribution"] == "neurenix-backend-tpu-like"
    (counts,) = found["levels"].values()
    assert counts["passed"] > 100


def test_names_and_folders_are_checked(tmp_path: Path) -> None:
    for name in ("Npu", "1npu", "a-b", "a__b"):
        done = generate(name, tmp_path, check=False)
        assert done.returncode == 2
        assert "cannot be a device type" in done.stderr
    assert list(tmp_path.iterdir()) == []
    generate("npu", tmp_path)
    again = generate("npu", tmp_path, check=False)
    assert again.returncode == 2
    assert "exists; choose another name" in " ".join(again.stderr.split())


# The tutorial ----------------------------------------------------------------------------------

FENCE = re.compile(r"^```(?P<label>[^\n]*)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
TITLE = re.compile(r'python title="(?P<file>[^"]+)"')


class Reader:
    """Somebody who follows the tutorial: runs its commands, writes its code into the files."""

    def __init__(self, place: Path) -> None:
        self.folder = place
        self.site = place / "site"
        self.site.mkdir()
        self.commands: list[str] = []
        self.written: dict[str, str] = {}
        self.before: dict[str, str] = {}

    def run(self, line: str) -> None:
        self.commands.append(line)
        program, *arguments = shlex.split(line)
        if program == "cd":
            self.folder /= arguments[0]
        elif program == "pip":
            assert arguments == ["install", "-e", ".[test]"]
            build_and_install(self.folder, self.site)
            for path in self.folder.glob("src/*/*.py"):
                self.before[path.relative_to(self.folder).as_posix()] = path.read_text("utf-8")
        elif program in ("pytest", "neurenix"):
            self._python(program, arguments)
        else:
            raise AssertionError(f"the tutorial has a command that nobody tests: {line}")

    def _python(self, program: str, arguments: list[str]) -> None:
        start = SHELL if program == "neurenix" else "import sys, pytest; sys.exit(pytest.main())"
        source = str(self.folder / "src")  # as an editable installation would have it
        path = os.pathsep.join([source, str(self.site)])
        start = f"import os; os.chdir({str(self.folder)!r}); {start}"
        run_with(self.site, "-W", "ignore", "-c", start, *arguments, PYTHONPATH=path)

    def write(self, file: str, code: str) -> None:
        self.written[file] = self.written.get(file, "") + code


def squeezed(code: str) -> list[str]:
    return [line for line in code.splitlines() if line.strip()]


@pytest.mark.slow
def test_the_tutorial_step_by_step(tmp_path: Path) -> None:
    pytest.importorskip("typer")
    reader = Reader(tmp_path)
    for match in FENCE.finditer(TUTORIAL.read_text(encoding="utf-8")):
        title = TITLE.fullmatch(match["label"])
        if match["label"] == "console":
            for line in re.findall(r"^\$ (.+)$", match["body"], re.MULTILINE):
                reader.run(line)
        elif title is not None:
            reader.write(title["file"], match["body"])
            if '@kernel("relu"' in match["body"]:
                # What stood on the page before is the generated package, line by line.
                shown = {f: c.replace(match["body"], "") for f, c in reader.written.items()}
                assert {f: squeezed(c) for f, c in shown.items()} == {
                    f: squeezed(c) for f, c in reader.before.items()
                }
                path = reader.folder / title["file"]
                path.write_text(reader.written[title["file"]], encoding="utf-8")
        else:
            raise AssertionError(f"a fence that nobody tests: {match['label']!r}")
    assert sum(line.startswith("pytest") for line in reader.commands) >= 4
    report = json.loads((reader.folder / "report.json").read_text(encoding="utf-8"))
    assert report["ops"]["relu"]["float32"] == "native"
    assert report["levels"]["L2"]["passed"] > 10


def test_the_tutorial_has_all_of_the_backend(project: Path) -> None:
    shown: dict[str, list[str]] = {}
    for match in FENCE.finditer(TUTORIAL.read_text(encoding="utf-8")):
        title = TITLE.fullmatch(match["label"])
        if title is not None and "relu" not in match["body"]:
            name = title["file"].rpartition("/")[2]
            body = match["body"].replace("abacus", "tpu_like")
            shown.setdefault(name, []).extend(squeezed(body))
    package = project / "src" / "neurenix_backend_tpu_like"
    assert set(shown) == {path.name for path in package.glob("*.py")}
    for name, lines in shown.items():
        assert lines == squeezed((package / name).read_text(encoding="utf-8"))
    assert len(python_blocks(TUTORIAL)) > 6
