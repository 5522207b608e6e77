"""Training for a trial: everything is put back as it was, bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from neurenix import Tensor
from neurenix.autograd import no_grad
from neurenix.nn import Module
from neurenix.optim import Optimizer
from neurenix.random import default_generator
from neurenix_transfer.cache.tracing import STOP_REQUEST


@contextmanager
def borrowed(model: Module, optimizer: Optimizer) -> Iterator[None]:
    """Lend a model and its optimizer for a block, in which they may be trained.

    However the block ends, the trainable parameters, buffers, gradients and modes of the model, the
    groups and the state of the optimizer, and the default generator are what they were before.
    """
    trainable = [param for param in model.parameters() if param.requires_grad]
    changing: list[Tensor] = [*trainable, *model.buffers()]
    values = [(tensor, tensor.detach().clone()) for tensor in changing]
    grads = [(param, param.grad) for param in model.parameters()]
    modes = [(module, module._training) for module in model.modules()]
    stop = vars(model).get(STOP_REQUEST)
    options = [dict(group) for group in optimizer.param_groups]
    state = dict(optimizer.state)
    random = default_generator().get_state()
    # The block steps on a copy: its own tensors are changed in place.
    for param, held in state.items():
        optimizer.state[param] = {
            key: value.detach().clone() if isinstance(value, Tensor) else value
            for key, value in held.items()
        }
    try:
        yield
    finally:
        with no_grad():
            for tensor, value in values:
                tensor.copy_(value)
        for param, grad in grads:
            param.grad = grad
        for module, mode in modes:
            module.training = mode
        vars(model).pop(STOP_REQUEST, None)
        if stop is not None:
            vars(model)[STOP_REQUEST] = stop
        for group, before in zip(optimizer.param_groups, options, strict=True):
            group.clear()
            group.update(before)
        optimizer.state.clear()
        optimizer.state.update(state)
        default_generator().set_state(random)
