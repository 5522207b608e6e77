"""What the engine declares of the vendors' libraries is what they declare and export themselves.

The packages `nvidia-cublas` and `nvidia-cudnn-cu13` have headers and libraries; no GPU is needed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess

import pytest

RunPython = Callable[..., CompletedProcess[str]]
ENGINE = Path(__file__).parents[1] / "phynexus-gpu"

CUBLASLT = """
#include <cublasLt.h>
#include "libraries/cublaslt_api.h"
using namespace phynexus::cublaslt;
#define SAME(ours, theirs) static_assert(static_cast<int>(ours) == static_cast<int>(theirs))
SAME(kSuccess, CUBLAS_STATUS_SUCCESS);
SAME(kNotSupported, CUBLAS_STATUS_NOT_SUPPORTED);
SAME(kR32F, CUDA_R_32F);
SAME(kR64F, CUDA_R_64F);
SAME(kR16F, CUDA_R_16F);
SAME(kR16BF, CUDA_R_16BF);
SAME(kCompute32F, CUBLAS_COMPUTE_32F);
SAME(kCompute64F, CUBLAS_COMPUTE_64F);
SAME(kCompute32FFastTf32, CUBLAS_COMPUTE_32F_FAST_TF32);
SAME(kNone, CUBLAS_OP_N);
SAME(kTranspose, CUBLAS_OP_T);
SAME(kDefault, CUBLASLT_EPILOGUE_DEFAULT);
SAME(kBias, CUBLASLT_EPILOGUE_BIAS);
SAME(kTransA, CUBLASLT_MATMUL_DESC_TRANSA);
SAME(kTransB, CUBLASLT_MATMUL_DESC_TRANSB);
SAME(kEpilogue, CUBLASLT_MATMUL_DESC_EPILOGUE);
SAME(kBiasPointer, CUBLASLT_MATMUL_DESC_BIAS_POINTER);
SAME(kBiasDataType, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE);
SAME(kBatchCount, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
SAME(kStridedBatchOffset, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
SAME(kMaxWorkspaceBytes, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME(kReductionSchemeMask, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
SAME(kMinAlignmentABytes, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
SAME(kMinAlignmentBBytes, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
SAME(kMinAlignmentCBytes, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
SAME(kMinAlignmentDBytes, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
SAME(kReductionComputeType, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
SAME(sizeof(Algorithm), sizeof(cublasLtMatmulAlgo_t));
SAME(sizeof(Heuristic), sizeof(cublasLtMatmulHeuristicResult_t));
SAME(offsetof(Heuristic, workspace_bytes),
     offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
SAME(offsetof(Heuristic, state), offsetof(cublasLtMatmulHeuristicResult_t, state));
"""

CUDNN = """
#include <cudnn.h>
#include "libraries/cudnn_api.h"
using namespace phynexus::cudnn;
#define SAME(ours, theirs) static_assert(static_cast<int>(ours) == static_cast<int>(theirs))
SAME(kSuccess, CUDNN_STATUS_SUCCESS);
SAME(kNotSupported, CUDNN_STATUS_NOT_SUPPORTED);
SAME(kNotSupportedEnd, CUDNN_STATUS_INTERNAL_ERROR);
SAME(kFloat, CUDNN_DATA_FLOAT);
SAME(kDouble, CUDNN_DATA_DOUBLE);
SAME(kHalf, CUDNN_DATA_HALF);
SAME(kBfloat16, CUDNN_DATA_BFLOAT16);
SAME(kNchw, CUDNN_TENSOR_NCHW);
SAME(kCrossCorrelation, CUDNN_CROSS_CORRELATION);
SAME(kDeterministic, CUDNN_DETERMINISTIC);
SAME(kDefaultMath, CUDNN_DEFAULT_MATH);
SAME(kTensorOpMath, CUDNN_TENSOR_OP_MATH);
SAME(kFmaMath, CUDNN_FMA_MATH);
#define SAME_PERFORMANCE(theirs)                                                \\
  SAME(sizeof(Performance), sizeof(theirs));                                    \\
  SAME(offsetof(Performance, status), offsetof(theirs, status));                \\
  SAME(offsetof(Performance, memory_bytes), offsetof(theirs, memory));          \\
  SAME(offsetof(Performance, determinism), offsetof(theirs, determinism));      \\
  SAME(offsetof(Performance, math), offsetof(theirs, mathType))
SAME_PERFORMANCE(cudnnConvolutionFwdAlgoPerf_t);
SAME_PERFORMANCE(cudnnConvolutionBwdDataAlgoPerf_t);
SAME_PERFORMANCE(cudnnConvolutionBwdFilterAlgoPerf_t);
"""


def nvidia_folders() -> list[Path]:
    """Return the folders of NVIDIA's packages in this environment."""
    spec = find_spec("nvidia")
    return [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []


def declared_parameters(header: str, name: str) -> int:
    """Return how many parameters a header says that a function has."""
    declaration = re.search(rf"\bCUD?\w*WINAPI\s+{name}\(([^;]*)\);", header)
    assert declaration is not None, f"{name} is not declared"
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", declaration[1], flags=re.DOTALL).count(",") + 1


def find_file(pattern: str) -> Path:
    for folder in nvidia_folders():
        for found in folder.glob(pattern):
            return found
    pytest.skip(f"no NVIDIA package of this environment has {pattern}")


@pytest.mark.parametrize(
    ("header", "code"), [("cublasLt.h", CUBLASLT), ("cudnn.h", CUDNN)], ids=["cublaslt", "cudnn"]
)
def test_values_and_structures_are_those_of_the_headers(
    header: str, code: str, tmp_path: Path
) -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no g++ on this machine")
    folder = find_file(f"*/include/{header}").parent
    runtime = find_file("*/include/cuda_runtime_api.h").parent
    source = tmp_path / "same.cpp"
    source.write_text("#include <cstddef>\n" + code, encoding="utf-8")
    done = subprocess.run(
        [
            *(compiler, "-std=c++17", "-fsyntax-only", "-Wno-deprecated-declarations"),
            *(f"-I{folder}", f"-I{runtime}", f"-I{ENGINE}", str(source)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.parametrize(
    ("header", "function", "count"),
    [
        ("cublasLt.h", "cublasLtMatmul", 16),
        ("cublasLt.h", "cublasLtMatmulAlgoGetHeuristic", 10),
        ("cublasLt.h", "cublasLtMatrixLayoutCreate", 5),
        ("cudnn_ops.h", "cudnnSetTensor4dDescriptor", 7),
        ("cudnn_ops.h", "cudnnSetFilter4dDescriptor", 7),
        ("cudnn_cnn.h", "cudnnSetConvolution2dDescriptor", 9),
        ("cudnn_cnn.h", "cudnnGetConvolutionBackwardDataAlgorithm_v7", 8),
        ("cudnn_cnn.h", "cudnnConvolutionForward", 13),
        ("cudnn_cnn.h", "cudnnConvolutionBackwardData", 13),
        ("cudnn_cnn.h", "cudnnConvolutionBackwardFilter", 13),
    ],
)
def test_functions_have_as_many_parameters(header: str, function: str, count: int) -> None:
    text = find_file(f"*/include/{header}").read_text(encoding="utf-8")
    assert declared_parameters(text, function) == count


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("cublaslt", "*/lib/libcublasLt.so.*"), ("cudnn", "*/lib/libcudnn.so.9")],
)
def test_the_library_has_every_function(run_python: RunPython, name: str, pattern: str) -> None:
    path = find_file(pattern)
    code = f"""
from phynexus_gpu_emulated.phynexus_gpu import _native
print(_native.open_library({name!r}, {str(path)!r}))
"""
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(".")[0] in {"13", "9"}
