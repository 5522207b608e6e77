"""The specification's choice of an edge device: WebGPU where there is an adapter, else the CPU."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

RunPython = Callable[..., subprocess.CompletedProcess[str]]

markdown_blocks = pytest.importorskip("markdown_blocks", reason="it is with the whole repository")
pytest.importorskip("neurenix_transfer")

SPEC = Path(
    os.environ.get(
        "NEURENIX_TEST_SPEC",
        Path(__file__).resolve().parents[3] / "shared" / "spec" / "transfer-learning.md",
    )
)

# Takes the GPUs of this machine away, from Vulkan's loader; software is hidden by our own variable.
WITHOUT_GPUS = {"VK_ICD_FILENAMES": os.devnull, "VK_DRIVER_FILES": os.devnull}

# Runs the block that it is given, and noise through the block's model.
PROGRAM = """
import json, sys
import numpy
names = {"__name__": "__main__"}
exec(compile(sys.argv[1], "specification", "exec"), names)
neurenix, model, device = names["neurenix"], names["model"], names["edge_device"]
noise = numpy.random.default_rng(0).standard_normal((2, 3, 64, 64), dtype=numpy.float32)
pictures = neurenix.from_numpy(noise).to(device)
model.eval()
with neurenix.no_grad():
    features, out = model.get_base_model()(pictures), model(pictures)
print(json.dumps({
    "chosen": str(device.type),
    "parameters": sorted({str(parameter.device) for parameter in model.parameters()}),
    "result": [str(out.device), list(out.shape)],
    "features": features.tolist(),
}))
"""


@pytest.fixture
def home(assets: Path, tmp_path: Path) -> Path:
    """A home folder whose cache of weights holds those that `pretrained=True` looks for."""
    cached = tmp_path / "home" / "models" / "resnet18.safetensors"
    cached.parent.mkdir(parents=True)
    cached.symlink_to(assets / "weights" / "resnet18.safetensors")
    return tmp_path / "home"


def test_the_block_picks_webgpu_and_falls_back_without_it(
    home: Path, run_python: RunPython
) -> None:
    if not SPEC.is_file():
        pytest.skip(f"no specification at {SPEC}; NEURENIX_TEST_SPEC names the file")
    blocks = markdown_blocks.python_blocks(SPEC)
    (block,) = [block for block in blocks if "edge_device" in block.code]

    def run(**variables: str) -> dict[str, Any]:
        done = run_python(PROGRAM, block.code, NEURENIX_HOME=str(home), **variables)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    with_adapter = run()
    # The weights are loaded on the CPU, and moved by the block.
    moved = run(NEURENIX_DEVICE="cpu")
    for found in (with_adapter, moved):
        assert found["chosen"] == "webgpu"
        assert found["parameters"] == ["webgpu"]
        assert found["result"] == ["webgpu", [2, 10]]
    without = run(NEURENIX_WEBGPU_SOFTWARE="0", **WITHOUT_GPUS)
    assert without["chosen"] == "cpu"
    assert without["parameters"] == ["cpu"]
    assert without["result"] == ["cpu", [2, 10]]
    np.testing.assert_allclose(with_adapter["features"], without["features"], atol=1e-3)
    assert moved["features"] == with_adapter["features"]
