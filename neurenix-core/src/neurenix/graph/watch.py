"""Whether a module is still what it was when it was traced."""

from __future__ import annotations

from collections.abc import Iterable
from operator import is_
from typing import TYPE_CHECKING, Any, Protocol

from neurenix.graph.trace import TracedModule

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


class Module(TracedModule, Protocol):
    """What is compiled: a `neurenix.nn.Module`, or what walks and calls as one."""

    def modules(self) -> Iterable[Any]:
        """Yield the module and all below it."""
        ...


class ModuleState:
    """What a trace of a module depends on besides its arguments, at one time.

    Attributes:
        key: Equal for states that give the same graph: the parts and their modes, the parameters
            and buffers, whether they require a gradient, and the hooks.
        trains: Whether a part is in training mode and a parameter requires a gradient.
    """

    def __init__(self, module: Module) -> None:
        modules = list(module.modules())
        named = (*module.named_parameters(), *module.named_buffers())
        self._tensors = [(tensor, _described(tensor)) for _, tensor in named]
        training = [bool(each.training) for each in modules]
        hooks = [(*each._forward_hooks, *each._forward_pre_hooks) for each in modules]
        self.key = (
            tuple(zip(map(id, modules), training, hooks, strict=True)),
            tuple((id(tensor), described) for tensor, described in self._tensors),
        )
        self.trains = any(training) and any(p.requires_grad for _, p in module.named_parameters())
        # Whether a part trains may depend on modules above this one, and hooks are kept in tables
        # that change in place: then the state is taken anew each time.
        self._is_plain = not any(training) and not any(hooks)
        self._parts = [(vars(each), [*vars(each).values()]) for each in modules]

    def holds(self) -> bool:
        """Whether nothing has changed since, told without a walk; False may be a false alarm."""
        return (
            self._is_plain
            and all(
                len(now) == len(then) and all(map(is_, now.values(), then))
                for now, then in self._parts
            )
            and all(_described(tensor) == then for tensor, then in self._tensors)
        )


def _described(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.dtype, tensor.device, tensor.requires_grad
