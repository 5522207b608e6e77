"""The vendors' libraries, by stand-ins that do their work on the emulated queue.

They show that the engine finds the functions, describes matrices and images as those libraries
want them described, and says who has failed. Whether a real library agrees only a GPU can show.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

RunPython = Callable[..., CompletedProcess[str]]

HEAD = """
import numpy as np
import neurenix as nx
from neurenix import nn
device = "gpu_emulated"
rng = np.random.default_rng(5)
def draw(*shape):
    return rng.standard_normal(shape).astype(np.float32)
def near(found, expected, tolerance=1e-4):
    found = found.detach()
    np.testing.assert_allclose(found.numpy().astype(np.float64), expected, tolerance, tolerance)
def on(array, dtype=None):
    return nx.Tensor(array, dtype=dtype, device=device)
"""


@pytest.fixture
def stand_ins(emulated: Path) -> dict[str, str]:
    """The variables that name the stand-ins."""
    folder = emulated / "phynexus_gpu_emulated"
    return {
        f"NEURENIX_GPU_{name.upper()}": str(folder / f"libstand_in_{name}.so")
        for name in ("cublaslt", "cudnn", "rocblas")
    }


@pytest.fixture
def asked(
    run_python: RunPython, stand_ins: dict[str, str], tmp_path: Path
) -> Callable[..., list[str]]:
    """Return a function that runs code with some stand-ins, and gives the calls of theirs."""
    log = tmp_path / "calls"

    def run(code: str, *libraries: str, **variables: str) -> list[str]:
        opened = {
            k: v for k, v in stand_ins.items() if k.removeprefix("NEURENIX_GPU_") in libraries
        }
        log.unlink(missing_ok=True)
        done = run_python(
            "-W", "error", "-c", HEAD + code, PHYNEXUS_STAND_IN_LOG=str(log), **opened, **variables
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []

    return run


MATRICES = """
a, b = draw(5, 7), draw(7, 3)
near(on(a) @ on(b), a @ b)                                    # as they lie
near(on(a.T.copy()).T @ on(b.T.copy()).T, a @ b)              # both transposed
tall = draw(9, 7)
near(on(tall)[2:7] @ on(b), tall[2:7] @ b)                    # from the middle
wide = draw(5, 11)
near(on(wide)[:, 2:9] @ on(b), wide[:, 2:9] @ b)              # rows further apart than long
c, d = draw(4, 5, 7), draw(4, 7, 3)
near(on(c) @ on(d), c @ d)                                    # batches
near(on(c) @ on(b), c @ b)                                    # one right matrix: one product
near(on(a) @ on(d), a @ d)                                    # one left matrix
near(on(c.transpose(1, 0, 2).copy()).permute(1, 0, 2) @ on(d), c @ d)
e = draw(2, 1, 5, 7)
near(on(e) @ on(d), e @ d)                                    # batches of two strides: our own
near(on(a[:1]) @ on(b), a[:1] @ b)                            # one row
near(on(a[:, :1].copy()) @ on(b[:1]), a[:, :1] @ b[:1])       # depth 1
near(on(a[:0]) @ on(b), a[:0] @ b)                            # nothing
for dtype, tolerance in (("float64", 1e-12), ("float16", 2e-2), ("bfloat16", 1e-1)):
    x, y = on(a, getattr(nx, dtype)), on(b, getattr(nx, dtype))
    near(x @ y, x.numpy().astype(np.float64) @ y.numpy().astype(np.float64), tolerance)
assert (on(np.arange(6).reshape(2, 3)) @ on(np.arange(3))).tolist() == [5, 14]  # integers: our own
layer = nn.Linear(7, 3).to(device)
near(layer(on(c)), c @ layer.weight.detach().numpy().T + layer.bias.detach().numpy())
near(nn.functional.linear(on(c), layer.weight), c @ layer.weight.detach().numpy().T)
x = on(c); x.requires_grad = True
layer(x).sum().backward()
near(x.grad, np.ones((4, 5, 3), np.float32) @ layer.weight.detach().numpy())
near(layer.weight.grad, np.ones((20, 3), np.float32).T @ c.reshape(20, 7))
"""


@pytest.mark.parametrize("library", ["CUBLASLT", "ROCBLAS"])
def test_products_of_every_layout(asked: Callable[..., list[str]], library: str) -> None:
    calls = [call for call in asked(MATRICES, library) if "Heuristic" not in call]
    name = {"CUBLASLT": "cublasLtMatmul ", "ROCBLAS": "rocblas_gemm_strided_batched_ex "}[library]
    assert len(calls) >= 16
    assert all(call.startswith(name) for call in calls)
    # Rows of 7 by 3 in memory are columns of 3 by 7, so A is the right matrix and m is 3.
    assert "op=00 m=3 n=5 lda=3 ldb=7 ldd=3 batches=1" in calls[0]
    assert "op=11 m=3 n=5 lda=7 ldb=5 ldd=3 batches=1" in calls[1]
    assert any("lda=3 ldb=11 " in call for call in calls)
    assert any("batches=4 strides=21,35,15" in call for call in calls)
    assert any("n=20 " in call and "batches=1" in call for call in calls)
    assert any("batches=4 strides=21,0,15" in call for call in calls)


def test_a_bias_is_part_of_the_product_where_the_library_adds_it(
    asked: Callable[..., list[str]],
) -> None:
    code = """
layer = nn.Linear(7, 3).to(device)
x = draw(5, 7)
near(layer(on(x)), x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy())
"""
    assert "epilogue=4" in asked(code, "CUBLASLT")[-1]
    assert len(asked(code, "ROCBLAS")) == 1


def test_tf32_is_off_unless_it_is_allowed(asked: Callable[..., list[str]]) -> None:
    code = "(on(draw(4, 4)) @ on(draw(4, 4))).numpy()\n"
    assert "compute=68 " in asked(code, "CUBLASLT")[-1]
    assert "compute=77 " in asked(code, "CUBLASLT", NEURENIX_GPU_TF32="1")[-1]
    conv = "nn.functional.conv2d(on(draw(1, 1, 4, 4)), on(draw(1, 1, 3, 3))).numpy()\n"
    assert "math=3 " in asked(conv, "CUDNN")[-1]
    assert "math=0 " in asked(conv, "CUDNN", NEURENIX_GPU_TF32="1")[-1]


def test_an_algorithm_is_chosen_once_for_a_shape_and_an_alignment(
    asked: Callable[..., list[str]],
) -> None:
    code = """
a, b = draw(65), draw(8, 8)
for start in (0, 0, 1):
    part = slice(start, start + 64)
    near(on(a)[part].reshape(8, 8) @ on(b), a[part].reshape(8, 8) @ b)
"""
    chosen = [call for call in asked(code, "CUBLASLT") if "Heuristic" in call]
    assert [call.partition("aligned=")[2] for call in chosen] == ["256,256,256", "256,4,256"]


IMAGES = """
def compare(dtype, tolerance, sizes, **options):
    n, c, o, h, w, k = sizes
    groups = options.get("groups", 1)
    x, weight, bias = draw(n, c, h, w), draw(o, c // groups, k, k), draw(o)
    results = []
    for where in (device, "cpu@neurenix-core"):
        made = [nx.Tensor(part, dtype=dtype, device=where) for part in (x, weight, bias)]
        for part in made:
            part.requires_grad = True
        y = nn.functional.conv2d(*made, **options)
        (y * y).sum().backward()
        results.append([y.detach(), *(part.grad for part in made)])
    for ours, expected in zip(*results):
        assert ours.shape == expected.shape
        near(ours, expected.numpy().astype(np.float64), tolerance)

compare(nx.float32, 1e-3, (2, 4, 6, 7, 8, 3))
compare(nx.float32, 1e-3, (2, 4, 6, 7, 8, 3), stride=(2, 1), padding=(1, 2))
compare(nx.float32, 1e-3, (1, 4, 6, 9, 9, 3), dilation=2, groups=2)
compare(nx.float64, 1e-9, (2, 3, 4, 6, 5, 2), stride=2)
compare(nx.bfloat16, 2e-1, (2, 3, 4, 6, 5, 3), padding=1)
"""


def test_convolutions_and_their_gradients(asked: Callable[..., list[str]]) -> None:
    calls = asked(IMAGES, "CUDNN")
    for name in ("Forward", "BackwardData", "BackwardFilter"):
        assert sum(call.startswith(f"cudnnConvolution{name} ") for call in calls) == 5
    assert any("groups=2 x=1,4,9,9 w=6,2,3,3" in call for call in calls)
    assert any("type=9 math=1" in call for call in calls)


def test_padding_that_differs_between_the_sides_is_our_own(
    asked: Callable[..., list[str]],
) -> None:
    code = """
x, w = draw(1, 1, 5, 5), draw(1, 1, 3, 3)
padded = np.pad(x, ((0, 0), (0, 0), (0, 1), (1, 0)))
y = nn.functional.conv2d(on(x), on(w), padding=((0, 1), (1, 0)))
near(y, nn.functional.conv2d(nx.from_numpy(padded), nx.from_numpy(w)).numpy())
"""
    assert asked(code, "CUDNN") == []


def test_a_fused_convolution_is_finished_by_our_own(asked: Callable[..., list[str]]) -> None:
    code = """
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
    def forward(self, x):
        return nx.relu(self.conv(x) + x)
block = Block().eval().to(device)
x = draw(2, 3, 5, 5)
run = nx.compile(block)
with nx.no_grad():
    fused = run(on(x))
    plain = block(on(x))
near(fused, plain.numpy())
assert (fused.numpy() == 0).any()
"""
    assert sum("cudnnConvolutionForward" in call for call in asked(code, "CUDNN")) == 2


FAILURES = [
    (
        "CUBLASLT",
        "cublasLtMatmul=13",
        "matmul: cuBLASLt failed in cublasLtMatmul: CUBLAS_STATUS_EXEC",
    ),
    ("CUBLASLT", "cublasLtCreate=13", "matmul: cuBLASLt failed in cublasLtCreate: "),
    ("CUBLASLT", "cublasLtMatmulAlgoGetHeuristic=13", "failed in cublasLtMatmulAlgoGetHeuristic"),
    ("ROCBLAS", "rocblas_gemm_strided_batched_ex=6", "matmul: rocBLAS failed in rocblas_gemm"),
    ("CUDNN", "cudnnConvolutionForward=5000", "conv2d: cuDNN failed in cudnnConvolutionForward: "),
    ("CUDNN", "cudnnGetConvolutionForwardAlgorithm_v7=5000", "conv2d: cuDNN failed in "),
]


@pytest.mark.parametrize(("library", "fails", "message"), FAILURES)
def test_a_failure_names_the_op_and_the_library(
    asked: Callable[..., list[str]], library: str, fails: str, message: str
) -> None:
    code = f"""
for call in (
    lambda: on(draw(4, 4)) @ on(draw(4, 4)),
    lambda: nn.functional.conv2d(on(draw(1, 1, 4, 4)), on(draw(1, 1, 3, 3))),
):
    try:
        call().numpy()
    except RuntimeError as error:
        assert {message!r} in str(error), error
        break
else:
    raise AssertionError("nothing has failed")
assert (on(np.ones(3)) + on(np.ones(3))).tolist() == [2, 2, 2]  # the process goes on
"""
    asked(code, library, PHYNEXUS_STAND_IN_FAILS=fails)


def test_what_a_library_does_not_support_is_our_own(asked: Callable[..., list[str]]) -> None:
    for library, fails in [
        ("CUBLASLT", "cublasLtMatmulAlgoGetHeuristic=15"),
        ("ROCBLAS", "rocblas_gemm_strided_batched_ex=2"),
        ("CUDNN", "cudnnGetConvolutionForwardAlgorithm_v7=3001"),
    ]:
        code = """
a, b = draw(4, 4), draw(4, 4)
near(on(a) @ on(b), a @ b)
x, w = draw(1, 1, 4, 4), draw(1, 1, 3, 3)
expected = nn.functional.conv2d(nx.from_numpy(x), nx.from_numpy(w))
near(nn.functional.conv2d(on(x), on(w)), expected.numpy())
"""
        assert asked(code, library, PHYNEXUS_STAND_IN_FAILS=fails) == []


def test_the_kit_passes_with_libraries(run_kit: RunPython, stand_ins: dict[str, str]) -> None:
    ops = "--neurenix-ops=matmul,linear,conv2d,conv2d_fused,conv2d_grad_input,conv2d_grad_weight"
    for level in ("l1_primitives", "l2_composites"):
        done = run_kit(level, ops, **stand_ins)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


def test_the_doctor_says_which_libraries_serve(
    run_python: RunPython, stand_ins: dict[str, str]
) -> None:
    code = """
import sys
from neurenix.cli.app import main
import neurenix as nx
nx.ones(3, device="gpu_emulated")
sys.argv = ["neurenix", "doctor"]
main()
"""
    variables = {**stand_ins, "NEURENIX_GPU_CUDNN": "off", "NEURENIX_GPU_ROCBLAS": "/no/such.so"}
    done = run_python("-c", code, COLUMNS="300", **variables)
    printed = " ".join((done.stdout + done.stderr).split())
    assert f"cuBLASLt: 13.0.2, {stand_ins['NEURENIX_GPU_CUBLASLT']}" in printed, printed
    assert "cuDNN: off, by NEURENIX_GPU_CUDNN; the engine's own kernels serve" in printed
    assert "rocBLAS: absent: /no/such.so" in printed
    assert "TF32: not allowed" in printed


def test_a_library_without_a_function_is_left_aside(
    run_python: RunPython, stand_ins: dict[str, str]
) -> None:
    code = (
        HEAD
        + """
from phynexus_gpu_emulated.phynexus_gpu.libraries import open_libraries
print(open_libraries(look=False)["cuBLASLt"])
near(on(np.eye(3, dtype=np.float32)) @ on(np.eye(3, dtype=np.float32)), np.eye(3))
"""
    )
    wrong = stand_ins["NEURENIX_GPU_ROCBLAS"]
    done = run_python("-c", code, NEURENIX_GPU_CUBLASLT=wrong)
    assert done.returncode == 0, done.stderr
    assert f"absent: {wrong} has no function cublasLtCreate" in done.stdout


def test_where_libraries_are_looked_for(run_python: RunPython, tmp_path: Path) -> None:
    for path in ("cu13/lib/libcublasLt.so.13", "cudnn/lib/libcudnn.so.9"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    code = f"""
from phynexus_gpu_emulated.phynexus_gpu import libraries
libraries._nvidia_folders = lambda: [{str(tmp_path)!r}]
wanted = [("cublaslt", 13), ("cudnn", 13), ("cublaslt", 14), ("rocblas", 5), ("rocblas", 6)]
for name, major in wanted:
    print(*(place.path for place in libraries.places_of(name, major)))
"""
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{tmp_path}/cu13/lib/libcublasLt.so.13 libcublasLt.so.13",
        f"{tmp_path}/cudnn/lib/libcudnn.so.9 libcudnn.so.9",
        "libcublasLt.so.14",
        "librocblas.so.0 /opt/rocm/lib/librocblas.so.0",
        "librocblas.so.4 /opt/rocm/lib/librocblas.so.4",
    ]
