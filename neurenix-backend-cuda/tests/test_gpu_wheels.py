"""What built wheels and sdists of the two packages hold."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from device_code import cuda_code, hip_code

DIST = "NEURENIX_TEST_GPU_DIST"
CODE = {
    "cuda": (cuda_code, {"sm_80", "sm_90", "compute_90"}),
    "rocm": (hip_code, {"gfx90a", "gfx1030"}),
}
vendors = pytest.mark.parametrize("vendor", CODE)


def find(vendor: str, suffix: str) -> Path:
    """Return the file of a distribution, in the folder that the variable names."""
    if DIST not in os.environ:
        pytest.skip(f"{DIST} names no folder of built distributions")
    found = list(Path(os.environ[DIST]).glob(f"neurenix_backend_{vendor}-*{suffix}"))
    if not found:
        pytest.skip(f"there is no {suffix} of neurenix-backend-{vendor} in the folder")
    return found[0]


@vendors
def test_the_module_has_code_for_each_architecture(vendor: str) -> None:
    path = find(vendor, ".whl")
    with zipfile.ZipFile(path) as wheel:
        (module,) = [name for name in wheel.namelist() if name.endswith(".so")]
        binary = wheel.read(module)
    print(f"\n{path.name}: {path.stat().st_size / 1e6:.1f} MB")  # noqa: T201
    code_of, wanted = CODE[vendor]
    assert module.startswith(f"neurenix_backend_{vendor}/phynexus_gpu/_native.")
    assert code_of(binary) == wanted


@vendors
def test_the_wheel_holds_one_typed_package(vendor: str) -> None:
    package = f"neurenix_backend_{vendor}"
    with zipfile.ZipFile(find(vendor, ".whl")) as wheel:
        names = set(wheel.namelist())
    assert {n.partition("/")[0] for n in names if ".dist-info/" not in n} == {package}
    python = {"__init__.py", "backend.py", "kernels.py", "py.typed", "_native.pyi"}
    assert {f"{package}/phynexus_gpu/{name}" for name in python} <= names
    assert {f"{package}/{name}" for name in ("plugin.py", "probe.py", "py.typed")} <= names
    assert [n for n in names if n.endswith((".cpp", ".h"))] == []


@vendors
def test_the_sdist_holds_the_sources_and_no_link(vendor: str) -> None:
    with tarfile.open(find(vendor, ".tar.gz")) as sdist:
        members = {m.name.partition("/")[2]: m for m in sdist.getmembers()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "CMakeLists.txt"} <= set(members)
    assert "phynexus-gpu/kernels/gemm.h" in members
    assert [name for name, m in members.items() if m.issym() or m.islnk()] == []
