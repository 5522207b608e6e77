"""Releases of different ages together: what fits works, what does not is kept out or reported."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from fresh_environment import FreshEnvironment
from later_releases import release

EXAMPLE = "neurenix-backend-example"
SPEC = "src/neurenix/plugins/spec.py"
API = r"^API_VERSION = \(.*\)$"
DECLARED_API = ("neurenix_backend_example/__init__.py", r"api=\(\d+, \d+\)")

COMPUTE = """
import sys, warnings
warnings.simplefilter("ignore")  # of backends that cannot be used
import neurenix as nx
from neurenix.cli.diagnosis import diagnose

x = nx.Tensor([1.0, 2.0], device="cpu", requires_grad=True)
(x * x).sum().backward()
assert x.grad.tolist() == [2.0, 4.0]
try:
    y = nx.Tensor([3.0, 4.0], device="example", requires_grad=True)
    nx.softmax(y * 2, axis=0).sum().backward()
    print("computed:", y.grad.device)
except nx.errors.DeviceError as error:
    print("error:", error)
for found in diagnose().findings:
    print(f"{found.distribution} {found.version} api {found.api}: {found.state}: {found.cause}")
    print("advice:", found.advice)
"""


@dataclass(frozen=True)
class Releases:
    """The present version of core and its API, those that follow, and a folder of their wheels.

    Of core there are a minor and a major release, each with a new API version; of transfer one
    that needs the minor release. The example is there for today's API (0.1) and twice for that of
    the minor release: 0.2, whose author forgot to raise the bound on core, and 0.3.
    """

    folder: Path
    now: str
    minor: str
    major: str
    api: tuple[int, int]


@pytest.fixture(scope="module")
def releases(
    folders: dict[str, Path], example: Path, dist: Path, tmp_path_factory: pytest.TempPathFactory
) -> Releases:
    place = tmp_path_factory.mktemp("releases")
    core, transfer = folders["neurenix-core"], folders["neurenix-transfer"]
    (wheel,) = dist.glob("neurenix_core-*.whl")
    now = wheel.name.split("-")[1]
    first, second = map(int, now.split(".")[:2])
    minor, major = f"{first}.{second + 1}.0", f"{first + 1}.0.0"
    match = re.search(r"^API_VERSION = \((\d+), (\d+)\)", (core / SPEC).read_text(), re.MULTILINE)
    assert match
    api, later = map(int, match.groups()), f"({match[1]}, {int(match[2]) + 1})"
    raised = ("pyproject.toml", r'"neurenix-core>=.*?"', f'"neurenix-core>={minor},<{first + 1}"')

    release(core, place, minor, (SPEC, API, f"API_VERSION = {later}"))
    release(core, place, major, (SPEC, API, f"API_VERSION = ({int(match[1]) + 1}, 0)"))
    release(transfer, place, minor, raised)
    release(example, place, "0.1")
    release(example, place, "0.2", (*DECLARED_API, f"api={later}"))
    release(example, place, "0.3", (*DECLARED_API, f"api={later}"), raised)
    a, b = api
    return Releases(place / "wheels", now, minor, major, (a, b))


def test_an_older_backend_serves_a_newer_core(fresh: FreshEnvironment, releases: Releases) -> None:
    wanted = f"neurenix-core=={releases.minor}", f"{EXAMPLE}==0.1"
    fresh.install(*wanted, links=[releases.folder])
    assert fresh.is_consistent()
    printed = fresh.python(COMPUTE)
    assert "computed: example" in printed
    assert f"{EXAMPLE} 0.1 api {_text(releases.api)}: open" in printed


def test_a_newer_backend_is_reported_by_an_older_core(
    fresh: FreshEnvironment, releases: Releases
) -> None:
    wanted = f"neurenix-core=={releases.now}", f"{EXAMPLE}==0.2"
    fresh.install(*wanted, links=[releases.folder])
    newer = (releases.api[0], releases.api[1] + 1)
    printed = fresh.python(COMPUTE)
    cause = f"it needs API {_text(newer)}, this core has {_text(releases.api)}"
    assert re.search(rf"^error: .*{re.escape(cause)}", printed, re.MULTILINE)
    assert re.search(r"^error: .*upgrade neurenix-core", printed, re.MULTILINE)
    assert f"{EXAMPLE} 0.2 api {_text(newer)}: incompatible: {cause}" in printed

    # What the message advises helps.
    fresh.install(f"neurenix-core=={releases.minor}", links=[releases.folder])
    assert "computed: example" in fresh.python(COMPUTE)


def test_a_backend_of_the_last_major_version_is_reported(
    fresh: FreshEnvironment, releases: Releases
) -> None:
    fresh.install("neurenix-core", f"{EXAMPLE}==0.1", links=[releases.folder])
    assert fresh.versions()["neurenix-core"] == releases.minor
    # No installer puts these together by itself; `--no-deps` does.
    fresh.install("--no-deps", f"neurenix-core=={releases.major}", links=[releases.folder])
    assert not fresh.is_consistent()
    printed = fresh.python(COMPUTE)
    assert f"{EXAMPLE} 0.1 api {_text(releases.api)}: incompatible" in printed
    assert re.search(rf"^error: .*this core has {releases.api[0] + 1}\.0", printed, re.MULTILINE)


@pytest.mark.parametrize(
    "pair",
    [
        ("neurenix-core=={major}", "neurenix-transfer"),
        ("neurenix-core=={major}", "neurenix"),
        ("neurenix-core=={major}", EXAMPLE),
        ("neurenix-core=={now}", "neurenix-transfer=={minor}"),
        ("neurenix-core=={now}", f"{EXAMPLE}==0.3"),
    ],
    ids=" ".join,
)
def test_bounds_keep_apart_what_does_not_fit(
    fresh: FreshEnvironment, releases: Releases, pair: tuple[str, str]
) -> None:
    wanted = [
        text.format(now=releases.now, minor=releases.minor, major=releases.major) for text in pair
    ]
    done = fresh.try_install(*wanted, links=[releases.folder])
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    conflict = {"pip": "conflicting dependencies", "uv": "No solution found"}[fresh.installer]
    assert conflict in said
    assert f"neurenix-core=={_pinned(wanted)}" in said
    assert fresh.versions() == {}


def test_the_newest_that_fits_is_chosen(fresh: FreshEnvironment, releases: Releases) -> None:
    links = [releases.folder]
    fresh.install(f"neurenix-core=={releases.now}", "neurenix-transfer", links=links)
    assert fresh.versions()["neurenix-transfer"] == releases.now
    fresh.install("--upgrade", "neurenix-core", "neurenix-transfer", links=links)
    versions = fresh.versions()
    assert (versions["neurenix-core"], versions["neurenix-transfer"]) == (releases.minor,) * 2
    assert fresh.is_consistent()


def _pinned(requirements: list[str]) -> str:
    return requirements[0].partition("==")[2]


def _text(api: tuple[int, int]) -> str:
    return ".".join(map(str, api))
