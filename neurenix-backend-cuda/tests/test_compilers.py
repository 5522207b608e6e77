"""The sources compile as CUDA and as HIP, where there are compilers for them."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from device_code import cuda_code, hip_code

ENGINE = Path(__file__).parents[1] / "phynexus-gpu"
# Between them: exchanges of lanes, tensor cores, faults that kernels report.
FILES = ["kernels/softmax.cpp", "kernels/matmul.cpp", "kernels/indexing.cpp"]


def nvcc() -> str | None:
    """Return the compiler of the environment's wheels, or of the machine."""
    spec = find_spec("nvidia")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if found := shutil.which("nvcc", path=str(Path(folder, "cu13", "bin"))):
            return found
    return shutil.which("nvcc")


def compile_object(command: list[str], out: Path, **variables: str) -> bytes:
    done = subprocess.run(
        [*command, "-std=c++17", f"-I{ENGINE}", "-o", str(out)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return out.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_cuda_compiles(file: str, tmp_path: Path) -> None:
    compiler = nvcc()
    if compiler is None:
        pytest.skip("there is no nvcc: neither in this environment's packages nor on the machine")
    code = ["-gencode=arch=compute_90,code=sm_90", "-gencode=arch=compute_90,code=compute_90"]
    command = [compiler, "-x", "cu", "--expt-relaxed-constexpr", *code, "-c", str(ENGINE / file)]
    made = compile_object(command, tmp_path / "object.o")
    assert cuda_code(made) == {"sm_90", "compute_90"}


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_hip_compiles(file: str, tmp_path: Path) -> None:
    compiler = shutil.which("hipcc")
    if compiler is None:
        pytest.skip("there is no hipcc on this machine")
    code = ["--offload-arch=gfx90a", "--offload-arch=gfx1030", "-DPHYNEXUS_HIP"]
    command = [compiler, "-x", "hip", *code, "-c", str(ENGINE / file)]
    made = compile_object(command, tmp_path / "object.o", HIP_PLATFORM="amd")
    assert hip_code(made) == {"gfx90a", "gfx1030"}
