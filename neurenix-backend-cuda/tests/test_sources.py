"""The sources are written once, in neutral names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[1] / "phynexus-gpu"
ROCM = Path(__file__).parents[2] / "neurenix-backend-rocm"
# What belongs to a vendor, or looks as if it did. `vendor` alone may spell it.
OF_A_VENDOR = re.compile(
    r"<<<|>>>\(|__\w*(shared|global|device|host|shfl|ballot|sync|launch)\w*__|__syncthreads"
    r"|__shfl|__ballot|__activemask|__syncwarp|0x[fF]{8}[uU]"
    r"|nv_bfloat|hip_bfloat|__half|\bhalf2?\s+\w+\s*[;=]|wmma|\bmma\b|mfma"
    r"|\bcuda[A-Z]\w*|\bhip[A-Z]\w*|threadIdx|blockIdx|blockDim|gridDim|warpSize"
)


def sources() -> list[Path]:
    """Return every source but those that know a vendor."""
    found = [p for p in ENGINE.rglob("*") if p.suffix in {".h", ".cpp"}]
    return [p for p in found if p.parent.name != "vendor"]


@pytest.mark.parametrize("path", sources(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_sources_spell_nothing_of_a_vendor(path: Path) -> None:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = OF_A_VENDOR.search(line)
        assert found is None, f"line {number} spells {found[0]!r}"


@pytest.mark.parametrize(
    "line",
    [
        "kernel<<<blocks, threads>>>(x);",
        "__shared__ float tile[32];",
        "v += __shfl_xor_sync(0xffffffff, v, 1);",
        "__nv_bfloat16 x;",
        "cudaMalloc(&p, 4);",
        "int i = threadIdx.x;",
        "wmma::mma_sync(d, a, b, c);",
    ],
)
def test_the_search_finds_what_it_should(line: str) -> None:
    assert OF_A_VENDOR.search(line)


def test_files_are_short() -> None:
    lengths = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in ENGINE.rglob("*.[hc]*")}
    assert len(lengths) > 30
    assert {p: n for p, n in lengths.items() if n > 400} == {}


def lines_of(paths: list[Path]) -> int:
    return sum(len(p.read_text(encoding="utf-8").splitlines()) for p in paths)


@pytest.mark.parametrize(
    ("package", "own"),
    [
        (ENGINE.parent, ["vendor/cuda.h", "libraries/cublaslt*", "libraries/cudnn*"]),
        (ROCM, ["vendor/hip.h", "libraries/rocblas*"]),
    ],
    ids=["cuda", "rocm"],
)
def test_a_vendor_adds_little(package: Path, own: list[str]) -> None:
    """`pytest -s` prints the figures; the README of the engine repeats them."""
    everything = {p for p in ENGINE.rglob("*") if p.suffix in {".h", ".cpp", ".py", ".pyi"}}
    engine = [p for p in everything if not {"tests", "emulated", "emulator"} & {*p.parts}]
    vendors = [p for pattern in own for p in ENGINE.glob(pattern)]
    build = [package / "CMakeLists.txt", package / "pyproject.toml"]
    python = list((package / "src").rglob("*.py"))
    libraries, header = lines_of(vendors[1:]), lines_of(vendors[:1])
    packaging = lines_of(build + python)
    whole = lines_of(engine)
    figures = f"{packaging} lines of its own, {header} of names, {libraries} for its libraries"
    print(f"\n{package.name}: {figures}; the engine has {whole}")  # noqa: T201
    assert python
    assert packaging + header < 0.05 * whole
    assert libraries < 0.1 * whole


def test_rocm_has_the_same_sources_and_no_copy() -> None:
    assert (ROCM / "phynexus-gpu").is_symlink()
    assert (ROCM / "phynexus-gpu").resolve() == ENGINE.resolve()
    assert [p for p in ROCM.rglob("*.cpp") if not p.is_relative_to(ROCM / "phynexus-gpu")] == []
