"""Coming from neurenix 2.x, an older, unrelated project that owns `neurenix/__init__.py`.

The distribution `neurenix` of today has no file of that name: it is core's. An installer that
removes the old distribution last takes core's file away with it.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from fresh_environment import FreshEnvironment

README = Path(__file__).resolve().parents[2] / "README.md"
# Without what needs a toolchain: it owns no file of the old project.
SET = ("neurenix", "neurenix-core", "neurenix-transfer")
WORKS = "import neurenix, neurenix.transfer; print(neurenix.Tensor([2.0]).item())"
REPAIR = ("--force-reinstall", "--no-deps", "neurenix-core")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel that owns what the real neurenix 2.0.1 owns at the top."""
    folder = tmp_path_factory.mktemp("old")
    info = "neurenix-2.0.1.dist-info"
    held = {
        "neurenix/__init__.py": "__version__ = '2.0.1'\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: neurenix\nVersion: 2.0.1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*held, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / "neurenix-2.0.1-py3-none-any.whl", "w") as archive:
        for name, text in {**held, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)
    return folder


@pytest.fixture
def with_old(fresh: FreshEnvironment, old: Path) -> FreshEnvironment:
    """An environment with the old project and with what core needs."""
    fresh.install("neurenix-core")
    fresh.uninstall("neurenix-core")
    fresh.install("neurenix==2.0.1", links=[old])
    assert fresh.python("import neurenix; print(neurenix.__version__)") == "2.0.1\n"
    return fresh


def test_an_upgrade_in_place(with_old: FreshEnvironment) -> None:
    """Pip removes the old files last, and with them core's; uv removes them first."""
    with_old.install("--upgrade", "--no-deps", *SET)
    core = with_old.site_packages / "neurenix" / "__init__.py"
    if with_old.installer == "uv":
        assert core.is_file(), "uv deletes core's file too now: the README must say so"
    else:
        assert not core.exists(), "pip upgrades in place now: the README may say so"
        with_old.install(*REPAIR)
    assert with_old.python(WORKS) == "2.0\n"


def test_an_uninstall_first(with_old: FreshEnvironment) -> None:
    with_old.uninstall("neurenix")
    with_old.install("--no-deps", *SET)
    assert with_old.python(WORKS) == "2.0\n"


def test_the_readme_says_both() -> None:
    text = README.read_text(encoding="utf-8")
    assert "pip uninstall neurenix" in text
    assert f"pip install {' '.join(REPAIR)}" in text
