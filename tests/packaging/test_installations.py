"""Core and transfer installed side by side: they run, and type checkers see both.

An environment made here sees the packages of the one that runs the tests (numpy, mypy, hatchling
and so on) through a .pth file, so that nothing is downloaded and an installation takes a second.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from native_engine import ENGINE, needs_engine

WAYS = ["wheel", "editable"]

PROGRAM = """\
import neurenix
import neurenix.transfer
from neurenix.transfer import TransferModel
from neurenix.transfer.utils import get_layer_outputs

reveal_type(TransferModel.get_base_model)
reveal_type(neurenix.transfer.fine_tune)
reveal_type(get_layer_outputs)
"""


@dataclass(frozen=True)
class Environment:
    """A fresh virtual environment."""

    folder: Path
    wheels: Path
    sources: dict[str, Path]
    run: Callable[..., str]

    @property
    def scripts(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    @property
    def python(self) -> Path:
        return self.scripts / "python"

    @property
    def site_packages(self) -> Path:
        return Path(sysconfig.get_path("purelib", vars={"base": str(self.folder)}, scheme="venv"))

    def pip(self, *arguments: str | Path) -> str:
        return self.run(sys.executable, "-m", "pip", "--python", self.python, *arguments)

    def install(self, *requirements: str) -> str:
        """Install from the wheels built here, and from nowhere else."""
        return self.pip(
            "install", "--no-index", "--find-links", self.wheels, "--no-deps", *requirements
        )

    def install_editable(self, name: str) -> str:
        """Install a package of the repository in place."""
        return self.pip(
            "install", "--no-index", "--no-deps", "--no-build-isolation", "-e", self.sources[name]
        )

    def run_python(self, code: str) -> str:
        """Run Python code in a folder where nothing of the repository lies."""
        return self.run(self.python, "-W", "error", "-c", code, cwd=self.folder)


MakeEnvironment = Callable[[], Environment]


@pytest.fixture(scope="module")
def make_environment(
    dist: Path,
    folders: dict[str, Path],
    run: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[], Environment]:
    """Return a function that makes a fresh environment."""
    numbers = itertools.count()
    outer = sysconfig.get_path("purelib")

    def make() -> Environment:
        folder = tmp_path_factory.mktemp(f"environment-{next(numbers)}")
        run(sys.executable, "-m", "venv", "--without-pip", folder)
        environment = Environment(folder, dist, folders, run)
        (environment.site_packages / "outer.pth").write_text(outer + "\n")
        return environment

    return make


def install(environment: Environment, name: str, way: str) -> None:
    if way == "wheel":
        environment.install(name)
    else:
        environment.install_editable(name)


@pytest.fixture(scope="module", params=itertools.product(WAYS, WAYS), ids="-".join)
def side_by_side(request: pytest.FixtureRequest, make_environment: MakeEnvironment) -> Environment:
    """Core and transfer, each as a wheel or editable."""
    environment = make_environment()
    install(environment, "neurenix-core", request.param[0])
    install(environment, "neurenix-transfer", request.param[1])
    return environment


@pytest.fixture(scope="module", params=WAYS)
def core_alone(request: pytest.FixtureRequest, make_environment: MakeEnvironment) -> Environment:
    """Core without transfer, as a wheel or editable."""
    environment = make_environment()
    install(environment, "neurenix-core", request.param)
    return environment


def test_transfer_runs(side_by_side: Environment) -> None:
    printed = side_by_side.run_python(
        "import neurenix, neurenix_transfer\n"
        "from neurenix.transfer import TransferModel\n"
        "import neurenix.transfer.utils as utils\n"
        "assert TransferModel is neurenix_transfer.TransferModel\n"
        "assert set(neurenix.transfer.__all__) == set(neurenix_transfer.__all__)\n"
        "print(utils.get_layer_outputs.__module__, neurenix.__version__)\n"
    )
    assert printed.startswith("neurenix_transfer")


def test_installed_requirements_fit(side_by_side: Environment) -> None:
    assert "No broken requirements" in side_by_side.pip("check")


def test_commands_of_transfer_are_found(side_by_side: Environment) -> None:
    printed = side_by_side.run_python(
        "from importlib_metadata import entry_points\n"
        "for found in entry_points(group='neurenix.commands'):\n"
        "    print(found.name, callable(found.load()))\n"
    )
    lines = set(printed.splitlines())
    assert {f"{name} True" for name in ("fine-tune", "predict", "evaluate", "demo")} <= lines


def test_mypy_sees_transfer(
    side_by_side: Environment, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    # One cache for all combinations: NumPy's part of it is the same in each.
    cache = tmp_path_factory.getbasetemp() / "mypy-cache"
    output = side_by_side.run(
        *(sys.executable, "-m", "mypy", "--strict", "--python-executable", side_by_side.python),
        *("--cache-dir", cache, program),
        cwd=tmp_path,
    )
    revealed = re.findall(r'Revealed type is "(.*)"', output)
    assert len(revealed) == 3, output
    for text in revealed:
        assert text.startswith("def (")
        assert text != "Any"


def test_pyright_sees_transfer(side_by_side: Environment, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict"}))
    output = side_by_side.run(
        *(sys.executable, "-m", "pyright", "--pythonpath", side_by_side.python, program),
        cwd=tmp_path,
    )
    revealed = re.findall(r'Type of "\S+" is "(.*)', output)
    assert len(revealed) == 3, output
    for text in revealed:
        assert text.startswith("(")
        assert "Unknown" not in text
    assert "0 errors" in output


def test_core_alone_says_how_to_install_transfer(core_alone: Environment) -> None:
    printed = core_alone.run_python(
        "import neurenix\n"
        "try:\n"
        "    import neurenix.transfer.utils\n"
        "except ImportError as error:\n"
        "    print(error)\n"
        "else:\n"
        "    raise AssertionError('imported')\n"
    )
    assert "pip install neurenix-transfer" in printed


@needs_engine
def test_everything_installs_and_uninstalls_without_a_trace(
    make_environment: MakeEnvironment,
) -> None:
    environment = make_environment()
    before = sorted(environment.site_packages.iterdir())
    names = ["neurenix", "neurenix-core", "neurenix-transfer", ENGINE]
    environment.install(*names)
    assert "No broken requirements" in environment.pip("check")
    assert "fine-tune" in environment.run(environment.scripts / "neurenix", "--help")

    # Taking transfer away leaves core whole.
    environment.pip("uninstall", "--yes", "neurenix", "neurenix-transfer", ENGINE)
    environment.run_python("import neurenix; print(neurenix.ones((2,)).sum().item())")

    environment.pip("uninstall", "--yes", "neurenix-core")
    assert sorted(environment.site_packages.iterdir()) == before
