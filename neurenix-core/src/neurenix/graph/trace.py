"""From code to a graph: the code runs once, on tensors that have shapes but no values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from neurenix.backends.registry import resolve
from neurenix.errors import TraceError
from neurenix.graph.graph import Graph
from neurenix.graph.recorder import Recorder
from neurenix.graph.structure import Structure, flatten, static_values
from neurenix.ops.mode import mode
from neurenix.ops.op import TensorMeta
from neurenix.tensor import Tensor

if TYPE_CHECKING:
    from neurenix.backends.device import Device, DeviceLike

Example: TypeAlias = Any
"""A tensor, a `TensorMeta`, or tuples, lists and dicts of them and of plain values."""


class TracedModule(Protocol):
    """What a trace needs of a module, so that it can name what the graph captures."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output."""
        ...

    def named_parameters(self) -> Iterable[tuple[str, Tensor]]:
        """Yield the parameters by path."""
        ...

    def named_buffers(self) -> Iterable[tuple[str, Tensor]]:
        """Yield the buffers by path."""
        ...


def trace(module: TracedModule, *examples: Example, allow_random: bool = False) -> Graph:
    """Return the graph of a module's forward pass.

    The module runs once on metadata alone: nothing is computed, no parameter or buffer changes.
    Python code that depends on shapes, modes and attributes is carried out; what is recorded is
    what those led to. The forward pass is recorded without the tape; `trace_function` records
    backward passes too.

    Args:
        module: The module, in the mode in which it is to be traced.
        examples: The arguments: tensors, of which shape and dtype count, or `TensorMeta`, also
            in tuples, lists and dicts; other values are passed as they are.
        allow_random: Whether random draws (dropout in train mode) become inputs of the graph
            that each run draws anew. Otherwise they raise.

    Returns:
        The graph; parameters and buffers in it are the module's own, by their paths.

    Raises:
        TraceError: The module asks for a value that only a real run has, by ``item()``,
            ``bool()``, ``float()``, ``numpy()`` or ``nonzero()``; the message has the line. Or it
            moves tensors between devices, draws random numbers, or returns something else than
            tensors in tuples, lists and dicts.
    """
    return trace_call(module, examples, {}, allow_random=allow_random)


def trace_call(
    module: TracedModule,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    allow_random: bool = False,
) -> Graph:
    """Return the graph of a module's forward pass for positional and keyword arguments."""
    names = dict([*module.named_parameters(), *module.named_buffers()])
    device = home_of(module)
    return _trace(
        module, (args, kwargs), names, device=device, grad=False, allow_random=allow_random
    )


def home_of(module: TracedModule) -> Device | None:
    """Return the device of a module's parameters and buffers, if it is one."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    devices = {tensor.device for _, tensor in tensors}
    return devices.pop() if len(devices) == 1 else None


def trace_function(
    function: Callable[..., Any],
    *examples: Example,
    names: Mapping[str, Tensor] | None = None,
    device: DeviceLike | None = None,
    allow_random: bool = False,
) -> Graph:
    """Return the graph of any function of tensors, such as a whole training step.

    Gradients are recorded where the function computes them, and so are writes in place to tensors
    from outside: a run of the graph updates the parameters and the optimizer's state. Tensors
    from outside keep their values, versions and ``grad`` while tracing. An optimizer makes its
    state in its first step: let it take one before a step is traced.

    Args:
        function: The function.
        examples: Its arguments, as for `trace`. The tensors in the graph require a gradient where
            the examples do.
        names: Names of tensors from outside, for reading the graph: ``dict(named_parameters())``.
        device: Where the inputs are that are given as `TensorMeta`.
        allow_random: As for `trace`.

    Raises:
        TraceError: As for `trace`.
    """
    return _trace(
        function,
        (examples, {}),
        names or {},
        device=None if device is None else resolve(device),
        grad=mode.grad,
        allow_random=allow_random,
    )


def _trace(
    function: Callable[..., Any],
    arguments: tuple[tuple[Any, ...], dict[str, Any]],
    names: Mapping[str, Tensor],
    *,
    device: Device | None,
    grad: bool,
    allow_random: bool,
) -> Graph:
    if mode.tracer is not None:
        raise TraceError("a trace is running in this thread already; traces do not nest")
    leaves, nesting = flatten(arguments, (Tensor, TensorMeta), "the examples of a trace")
    devices = {leaf.device for leaf in leaves if isinstance(leaf, Tensor)}
    home = devices.pop() if len(devices) == 1 else device or resolve()
    recorder = Recorder(names, allow_random=allow_random)
    inputs = []
    for number, leaf in enumerate(leaves):
        place = leaf.device if isinstance(leaf, Tensor) else home
        tensor = recorder.input(leaf.shape, leaf.dtype, place, f"x{number}" if number else "x")
        tensor.requires_grad = isinstance(leaf, Tensor) and leaf.requires_grad
        inputs.append(tensor)
    values = tuple(map(recorder.value, inputs))
    args, kwargs = nesting.rebuild(iter(inputs))
    with recorder.recording(grad=grad):
        result = function(*args, **kwargs)
        found, structure = flatten(result, (Tensor,), "the results of a traced function")
        _check_results(structure)
        outputs = tuple(map(recorder.value, found))
    return Graph(
        _name(function),
        recorder.device or home,
        values,
        tuple(recorder.nodes),
        outputs,
        nesting,
        structure,
        keys=tuple(recorder.keys),
    )


def _check_results(structure: Structure) -> None:
    for value in static_values(structure):
        if not (value is None or isinstance(value, bool | int | float | str)):
            raise TraceError(
                "a traced function returns tensors, numbers and strings, also in tuples, lists "
                f"and dicts, but here it returned an object of type {type(value).__name__}"
            )


def _name(function: Callable[..., Any]) -> str:
    if inspect.isroutine(function) or inspect.isclass(function):
        return str(function.__name__)
    return type(function).__name__
