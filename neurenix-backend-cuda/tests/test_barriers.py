"""No barrier may be left out: for each one in the sources, some test of the kit then fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

RunPython = Callable[..., CompletedProcess[str]]
KERNELS = Path(__file__).parents[1] / "phynexus-gpu" / "kernels"
# The level and the ops that run the barriers of a file.
TESTED_BY = {
    "block.h": ("l2_composites", "softmax,layer_norm"),
    "entries.cpp": ("l2_composites", "sort,topk"),
    "gemm.h": ("l1_primitives", "matmul"),
    "gemm_half.h": ("l1_primitives", "matmul"),
    "optimizer.cpp": ("l2_composites", "adam_step"),
}
ORDERS = ("forward", "reverse", "5")


def barriers() -> list[str]:
    """Return the barriers of all kernels, as file:line."""
    found = []
    for path in sorted(KERNELS.iterdir()):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if "gpu_sync()" in line.partition("//")[0]:
                found.append(f"{path.name}:{number}")
    return found


@pytest.mark.parametrize("barrier", barriers())
def test_a_missing_barrier_fails_the_kit(barrier: str, run_kit: RunPython) -> None:
    level, ops = TESTED_BY[barrier.partition(":")[0]]
    for order in ORDERS:
        variables = {
            "PHYNEXUS_EMULATED_ORDER": order,
            "PHYNEXUS_EMULATED_WITHOUT_BARRIER": barrier,
        }
        done = run_kit(level, "-x", f"--neurenix-ops={ops}", **variables)
        assert done.returncode in (0, 1), done.stdout + done.stderr
        if done.returncode == 1:
            assert re.search(r"elements are wrong|unwritten", done.stdout), done.stdout
            return
    pytest.fail(f"the kit passes without the barrier {barrier}: it is not needed, or not tested")
