"""ResNet-18 by PyTorch: eager, channels_last, TorchScript, compiled; float32 and bfloat16."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from forwards import Array, Forward
from torch import nn
from torchvision.models import resnet18


def model(state: Mapping[str, Array], threads: int) -> nn.Module:
    """Return the network in eval mode, with the same weights as ours."""
    torch.set_num_threads(threads)
    network = resnet18()
    network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    return network.eval()


def forwards(network: nn.Module, example: Array) -> dict[str, Callable[[], Forward]]:
    """Return what makes each of the ways to run it in float32, by name."""
    return {
        "PyTorch eager": lambda: _forward(network),
        "PyTorch channels_last": lambda: _forward(_channels_last(network), channels_last=True),
        "PyTorch TorchScript": lambda: _forward(_frozen(network, example)),
        "PyTorch compiled": lambda: _forward(_compiled(network, example)),
    }


def bfloat16(network: nn.Module) -> Forward:
    """Return the network with weights and activations in bfloat16, channels_last."""
    narrow = _channels_last(network).to(torch.bfloat16)
    return _forward(narrow, channels_last=True, dtype=torch.bfloat16)


def _channels_last(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).to(memory_format=torch.channels_last)


def _frozen(network: nn.Module, example: Array) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript itself
        traced = torch.jit.trace(network, torch.from_numpy(example))
        return torch.jit.optimize_for_inference(torch.jit.freeze(traced))


def _compiled(network: nn.Module, example: Array) -> Any:
    import torch._inductor.config as inductor

    inductor.freezing = True  # folds the batch norms and packs the weights: its best for inference
    compiled = torch.compile(network)
    with torch.inference_mode():
        compiled(torch.from_numpy(example))
    inductor.freezing = False
    return compiled


def _forward(
    network: Any, *, channels_last: bool = False, dtype: torch.dtype = torch.float32
) -> Forward:
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def prepare(pictures: Array) -> torch.Tensor:
        return torch.from_numpy(pictures).to(dtype=dtype, memory_format=layout)

    def run(x: torch.Tensor) -> Array:
        with torch.inference_mode():
            return network(x).float().numpy()

    return Forward(prepare, run)
