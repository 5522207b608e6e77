"""Work that is recorded without a GPU, repeated by the browser's WebGPU, beside core's results."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn, ops
from neurenix.io import save_safetensors
from neurenix_backend_webgpu.web.constants import merge_constants
from neurenix_backend_webgpu.web.program import build_program, web_graph

from .conftest import RunModule, from_text, to_text

pytest.importorskip("neurenix_backend_webgpu._native", reason="the native module is not built")

from neurenix_backend_webgpu.web.recording import Recording, record

Repeat = Callable[[Recording, Tensor], Any]
RUN = """
const { WebGpu } = await import("./webgpu.js");
const { readSafetensors } = await import("./safetensors.js");
const file = await fetch("constants.safetensors", { cache: "no-store" });
const { bytes: constants } = readSafetensors(await file.arrayBuffer());
let opened;
try {
  opened = await WebGpu.open(given.work, constants, true);
} catch (error) {
  return error.message;
}
const input = new Float32Array(bytes(given.input).buffer);
const first = text(await opened.run(input));
// What is left of a run does not show in the next.
await opened.run(input.map((value) => 1 - value));
const again = text(await opened.run(input));
opened.close();
return [first, again];
"""


@pytest.fixture
def repeat(run_module: RunModule, site_folder: Path) -> Repeat:
    """Run a recording twice on one input, and on another in between."""

    def repeat(recording: Recording, x: Tensor) -> Any:
        save_safetensors(site_folder / "constants.safetensors", recording.constants)
        (site_folder / "wgsl").mkdir(exist_ok=True)
        for name, text in recording.shaders.items():
            (site_folder / "wgsl" / name).write_text(text)
        found = run_module(RUN, work=recording.work, input=to_text(x.numpy()))
        if isinstance(found, str) and "finds no GPU" in found:
            pytest.skip(f"this Chromium has no WebGPU: {found}")
        assert isinstance(found, list), found
        first, again = (from_text(text, np.float32) for text in found)
        assert np.array_equal(first, again)
        return first

    return repeat


class Module(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def noise(*shape: int, seed: int = 1) -> Tensor:
    return Tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


X = (2, 3, 8, 7)
BORDER = ((0, 0), (0, 0), (1, 1), (0, 0))
MODELS: dict[str, Callable[[], nn.Module]] = {
    "elementwise": lambda: Module(lambda x: (x * 2.0 + 1.0).exp() / (x.abs() + 0.5)),
    "views": lambda: Module(lambda x: ops.relu(x.permute((0, 2, 3, 1))[:, 1:, ::2]) * 3.0),
    "joined": lambda: Module(lambda x: ops.concat([x, ops.pad(x * 2.0, BORDER)[:, :, 2:]], 1)),
    "bools": lambda: Module(lambda x: ops.where((x < 0.5) & (x > -0.5), x, -1.0)),
    "copied": lambda: Module(lambda x: x.permute((0, 2, 3, 1)).reshape((2, -1)) + 1.0),
    "softmax": lambda: nn.Sequential(nn.Flatten(), nn.Linear(168, 9), nn.Softmax(1)),
    "normalised": lambda: nn.Sequential(nn.LayerNorm((8, 7)), nn.BatchNorm2d(3), nn.GELU()),
    "pooled": lambda: nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.AdaptiveAvgPool2d(2)),
    "convolved": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, groups=3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 1)
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_gives_what_it_gives_on_the_cpu(repeat: Repeat, name: str) -> None:
    neurenix.manual_seed(3)
    model = MODELS[name]().eval()
    x = noise(*X)
    with neurenix.no_grad():
        expected = model(x).numpy()
    found = repeat(record(web_graph(model, X)), x).reshape(expected.shape)
    assert np.allclose(found, expected, rtol=2e-5, atol=2e-6)


def test_a_network_of_the_zoo_gives_what_it_gives_on_the_cpu(repeat: Repeat) -> None:
    neurenix.manual_seed(3)
    model = neurenix.models.resnet18(num_classes=5).eval()
    x = noise(1, 3, 40, 40)
    with neurenix.no_grad():
        expected = model(x).numpy().ravel()
    found = repeat(record(web_graph(model, x.shape)), x)
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.fixture
def convolved() -> Recording:
    return record(web_graph(MODELS["convolved"]().eval(), X))


def test_elementwise_ops_are_one_shader_with_their_numbers_as_parameters() -> None:
    recording = record(web_graph(MODELS["elementwise"](), X))
    (step,) = recording.work["steps"]
    assert len(step["parts"]) == 2
    assert recording.constants == {}
    (label,) = (shader["label"] for shader in recording.work["shaders"])
    assert label == "chain mul add exp abs and 2 more"


def test_the_shaders_are_the_backends_own(convolved: Recording) -> None:
    work = convolved.work
    assert set(convolved.shaders) == {shader["file"] for shader in work["shaders"]}
    for shader in work["shaders"]:
        text = convolved.shaders[shader["file"]]
        assert text.startswith(f"// {shader['label']}\n")
        modes = re.findall(r"var<storage, (read|read_write)>", text)
        assert [mode == "read_write" for mode in modes] == shader["written"]


def test_steps_name_what_there_is(convolved: Recording) -> None:
    work = convolved.work
    assert work["steps"]
    for step in work["steps"]:
        for buffer, offset, size in step.get("parts", step.get("copy")):
            assert 0 <= offset <= offset + size <= work["buffers"][buffer]
    assert set(work["constants"]) == set(convolved.constants)


def test_weights_are_kept_once() -> None:
    graph = web_graph(MODELS["convolved"]().eval(), X)
    constants = dict(build_program(graph).constants)
    before = {name: tensor.size for name, tensor in constants.items()}
    recording = record(graph)
    names = merge_constants(constants, recording.constants)
    assert set(names) == set(recording.constants)
    assert set(names.values()) <= set(constants)
    assert constants.keys() - before.keys() == set()
    work = recording.work_with(names)
    assert sorted(work["constants"].values()) == sorted(recording.work["constants"].values())


def test_constants_of_one_name_and_other_values_are_both_kept() -> None:
    one, two = noise(4), noise(4, seed=2)
    constants = {"a": one}
    assert merge_constants(constants, {"a": two, "b": noise(2, 2, seed=3)}) == {
        "a": "a.1",
        "b": "b",
    }
    assert constants["a"] is one
    assert constants["a.1"] is two
    assert merge_constants(constants, {"c": noise(4).reshape((2, 2))}) == {"c": "a"}
