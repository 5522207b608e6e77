"""The conformance kit on the emulated GPU: every kernel is run, in several orders of threads."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import pytest

RunPython = Callable[..., CompletedProcess[str]]
# What a network is made of has a kernel; what is not here is decomposed.
# fmt: off
NATIVE = [
    "adam_step", "add", "batch_norm_backward", "batch_norm_train", "conv2d", "conv2d_fused",
    "conv2d_grad_input", "conv2d_grad_weight", "gelu", "layer_norm", "layer_norm_backward",
    "linear", "matmul", "max_pool2d", "relu", "scaled_dot_product_attention", "scatter_add",
    "sgd_momentum_step", "softmax", "softmax_cross_entropy", "sort", "sum", "take",
    "take_backward", "topk",
]
# fmt: on
# Whose preprocessing the sources get, the size of a warp, and the order of threads.
RUNS = [
    (hip, warp, order)
    for hip, warp in [(False, "32"), (True, "32"), (True, "64")]
    for order in ("forward", "reverse", "7")
]


@pytest.mark.slow
def test_the_whole_kit_passes(run_kit: RunPython, emulated_hip: Path, tmp_path: Path) -> None:
    def run(number: int) -> tuple[int, str]:
        hip, warp, order = RUNS[number]
        variables = {"PHYNEXUS_EMULATED_WARP": warp, "PHYNEXUS_EMULATED_ORDER": order}
        report = f"--neurenix-report={tmp_path / str(number)}"
        done = run_kit(None, report, hip=hip, **variables)
        return done.returncode, (done.stdout + done.stderr)[-6000:]

    with ThreadPoolExecutor(2) as pool:
        for number, (code, output) in enumerate(pool.map(run, range(len(RUNS)))):
            assert code == 0, f"{RUNS[number]}: {output}"
    report = json.loads((tmp_path / "0").read_text(encoding="utf-8"))
    assert report["failures"] == report["expected_failures"] == []
    ways = {op: its["float32"] for op, its in report["ops"].items() if "float32" in its}
    assert "fallback" not in ways.values()
    assert [op for op in NATIVE if ways[op] != "native"] == []
