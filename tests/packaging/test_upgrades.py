"""One distribution is upgraded or uninstalled, and the others do not notice."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from build_distributions import find_distributions
from changelog import version_of
from fresh_environment import FreshEnvironment
from later_releases import release

CORE = find_distributions()["neurenix-core"]
LATER = f"{version_of(CORE).partition('.')[0]}.99.0"

IMPORT = "import neurenix, neurenix.transfer; print(neurenix.ones(2).sum().item())"
ALONE = (
    "import neurenix\n"
    "print(neurenix.ones(2).sum().item())\n"
    "try:\n"
    "    import neurenix.transfer\n"
    "except ImportError as error:\n"
    "    print(error)\n"
)
ON_EXAMPLE = (
    "import neurenix as nx\nx = nx.ones(2, device='example')\nprint(x.sum().item(), x.device)\n"
)
ON_CPU = "import neurenix as nx\nprint(nx.ones(2).sum().item(), nx.get_available_devices())"


@pytest.fixture(scope="module")
def later(
    folders: dict[str, Path], example: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A next minor release of core and of transfer, and the example of a backend."""
    place = tmp_path_factory.mktemp("later")
    for name in ("neurenix-core", "neurenix-transfer"):
        release(folders[name], place, LATER)
    return release(example, place, "0.1")


def files(environment: FreshEnvironment, *packages: str) -> dict[str, str]:
    """What a package in an environment consists of: file and digest."""
    found = {}
    for package in packages:
        for path in sorted((environment.site_packages / package).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                name = path.relative_to(environment.site_packages).as_posix()
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def test_core_is_upgraded_alone(fresh: FreshEnvironment, later: Path) -> None:
    fresh.install("neurenix-core", "neurenix-transfer")
    transfer, core = files(fresh, "neurenix_transfer"), files(fresh, "neurenix")
    fresh.upgrade("neurenix-core", links=[later])
    assert fresh.versions()["neurenix-core"] == LATER
    assert fresh.versions()["neurenix-transfer"] != LATER
    assert files(fresh, "neurenix_transfer") == transfer
    assert files(fresh, "neurenix").keys() == core.keys()
    assert fresh.is_consistent()
    assert fresh.python(IMPORT) == "2.0\n"


def test_transfer_is_upgraded_and_uninstalled_alone(fresh: FreshEnvironment, later: Path) -> None:
    fresh.install("neurenix-core", "neurenix-transfer")
    core = files(fresh, "neurenix", "neurenix_pytest")
    fresh.upgrade("neurenix-transfer", links=[later])
    assert fresh.versions()["neurenix-transfer"] == LATER
    assert fresh.versions()["neurenix-core"] != LATER
    assert fresh.python(IMPORT) == "2.0\n"

    fresh.uninstall("neurenix-transfer")
    assert files(fresh, "neurenix", "neurenix_pytest") == core
    assert fresh.is_consistent()
    printed = fresh.python(ALONE)
    assert printed.startswith("2.0\n")
    assert "pip install neurenix-transfer" in printed

    fresh.install("neurenix-transfer")
    assert fresh.python(IMPORT) == "2.0\n"


def test_core_is_uninstalled_and_comes_back(fresh: FreshEnvironment) -> None:
    fresh.install("neurenix-core", "neurenix-transfer")
    transfer = files(fresh, "neurenix_transfer")
    fresh.uninstall("neurenix-core")
    assert files(fresh, "neurenix_transfer") == transfer
    assert files(fresh, "neurenix", "neurenix_pytest") == {}
    assert not fresh.is_consistent()
    fresh.install("neurenix-core")
    assert fresh.is_consistent()
    assert fresh.python(IMPORT) == "2.0\n"


def test_a_backend_comes_and_goes(fresh: FreshEnvironment, later: Path) -> None:
    fresh.install("neurenix-core")
    core = files(fresh, "neurenix")
    fresh.install("neurenix-backend-example", links=[later])
    assert fresh.python(ON_EXAMPLE) == "2.0 example\n"
    fresh.uninstall("neurenix-backend-example")
    assert files(fresh, "neurenix") == core
    assert fresh.python(ON_CPU) == "2.0 [Device('cpu')]\n"
    assert "neurenix_backend_example" not in {path.name for path in fresh.site_packages.iterdir()}


def test_the_set_is_uninstalled_and_its_members_stay(fresh: FreshEnvironment) -> None:
    fresh.install("neurenix-core", "neurenix-transfer")
    members = files(fresh, "neurenix", "neurenix_transfer")
    fresh.install("--no-deps", "neurenix")
    assert files(fresh, "neurenix", "neurenix_transfer") == members
    fresh.uninstall("neurenix")
    assert files(fresh, "neurenix", "neurenix_transfer") == members
    assert fresh.is_consistent()
    assert fresh.python(IMPORT) == "2.0\n"
