"""Traces of a model as it trains, with what a replay of the graph has to know besides.

A graph has no tape: it does not say where the code cut gradients off, by ``detach()`` or
``no_grad()``. That is noted here node by node, and so are the layers that the values come from.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix import Tensor
from neurenix.autograd import enable_grad
from neurenix.errors import NeurenixError
from neurenix.graph import Graph, Node, TensorMeta, Value, trace_function
from neurenix.graph.watch import ModuleState
from neurenix.nn import Module
from neurenix.ops.mode import mode
from neurenix_transfer.sources import Inputs, map_tensors

if TYPE_CHECKING:
    from neurenix.backends.device import Device
    from neurenix.ops.op import Op, Shape

_PLAIN = (bool, int, float, str, bytes, type(None))

STOP_REQUEST = "stop_training"
"""The attribute by which a training is asked to end; it says nothing of what the model computes."""


class UntraceableError(NeurenixError, RuntimeError):
    """A model that cannot be run from a graph of it; the message says why."""


@dataclass
class Note:
    """What a node's graph does not say of it.

    Attributes:
        grad: Whether the code taped.
        tracked: Of each input, whether a gradient could flow into it.
    """

    grad: bool
    tracked: list[bool]


@dataclass(frozen=True)
class Trace:
    """A model's graph, forward alone.

    Attributes:
        graph: The graph, with random draws as keys.
        notes: What it does not say of its nodes.
        layers: The layer that gave a value; of several, the outermost.
        within: The innermost layer that was running when a node was recorded.
        live: Nodes of layers that train without weights of their own, such as Dropout's.
    """

    graph: Graph
    notes: dict[Node, Note]
    layers: dict[Value, str]
    within: dict[Node, str]
    live: frozenset[Node]

    def written_tensors(self) -> list[Tensor]:
        """Return the tensors from outside that a run writes, such as running statistics."""
        written = {storage for node in self.graph.nodes for storage in node.written}
        captured = (value for value in self.graph.captured if value.storage in written)
        return [value.tensor for value in captured if value.tensor is not None]


def trace_training(model: Module, inputs: Inputs) -> Trace:
    """Trace a model in the mode that it is in, for inputs of certain shapes.

    Args:
        model: The model; nothing of it changes.
        inputs: `TensorMeta`, nested as the model takes them.

    Raises:
        UntraceableError: A graph would not do what the model does: it reads values, has hooks,
            draws numbers outside of Neurenix, or counts its calls.
    """
    if any(each._forward_hooks or each._forward_pre_hooks for each in model.modules()):
        raise UntraceableError("it has forward hooks, which see every batch")
    watch = _Watch()
    names = dict([*model.named_parameters(), *model.named_buffers()])
    device = next(model.parameters()).device
    before = plain_attributes(model), random.getstate(), _numpy_state()
    with ExitStack() as stack:
        stack.enter_context(enable_grad())
        for path, module in model.named_modules():
            if path:
                stack.enter_context(watch.layer(path, module))

        def forward(inputs: Any) -> Any:
            with watch.watching():
                return model(inputs)

        try:
            graph = trace_function(forward, inputs, names=names, device=device, allow_random=True)
        except Exception as error:
            raise UntraceableError(f"{type(error).__name__}: {error}") from error
    after = plain_attributes(model), random.getstate(), _numpy_state()
    if before[1:] != after[1:]:
        raise UntraceableError("its forward draws random numbers of Python's or NumPy's")
    if before[0] != after[0]:
        raise UntraceableError("its forward changes attributes of its modules")
    live = {
        path
        for path, module in model.named_modules()
        if path and module.training and next(module.parameters(), None) is None
    }
    living = frozenset(node for node, path in watch.within.items() if path in live)
    return Trace(graph, watch.notes, watch.layers(graph), watch.within, living)


def with_batch(inputs: Inputs, size: int) -> Inputs:
    """Return the metas of a batch of some size, from tensors or metas of any batch."""

    def resize(tensor: Any) -> TensorMeta:
        return TensorMeta((size, *tensor.shape[1:]), tensor.dtype)

    return map_metas(resize, inputs)


def map_metas(function: Callable[[Any], Any], inputs: Inputs) -> Inputs:
    """Apply a function to every tensor or meta of inputs; a meta is no tuple to go into."""
    if isinstance(inputs, TensorMeta | Tensor):
        return function(inputs)
    if isinstance(inputs, dict):
        return {key: map_metas(function, value) for key, value in inputs.items()}
    if isinstance(inputs, tuple | list):
        return type(inputs)(map_metas(function, value) for value in inputs)
    return map_tensors(function, inputs)


def state_key(model: Module) -> Any:
    """Return what is equal for states of a model that give the same graph."""
    return ModuleState(model).key, plain_attributes(model)


def plain_attributes(model: Module) -> tuple[Any, ...]:
    """Return the settings of a model's modules, such as the rate of a Dropout."""
    return tuple(
        tuple(
            (name, _plain(value))
            for name, value in sorted(vars(module).items())
            if name != STOP_REQUEST
        )
        for module in model.modules()
    )


def _plain(value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, tuple) and all(isinstance(item, _PLAIN) for item in value):
        return value
    return id(value)


def _numpy_state() -> tuple[Any, ...]:
    state: Any = np.random.get_state(legacy=True)  # noqa: NPY002  (whether a model draws from it)
    return (state[0], state[1].tobytes(), *state[2:])


@dataclass
class _Watch:
    """What is noted while a trace runs."""

    notes: dict[Node, Note] = field(default_factory=dict)
    within: dict[Node, str] = field(default_factory=dict)
    stack: list[str] = field(default_factory=list)
    given: list[tuple[Any, str]] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Stand between the ops and the recorder of the trace that is running."""
        recorder = mode.tracer
        mode.set(grad=mode.grad, tracer=_Noting(recorder, self))
        try:
            yield
        finally:
            mode.set(grad=mode.grad, tracer=recorder)

    @contextmanager
    def layer(self, path: str, module: Module) -> Iterator[None]:
        """Know when a layer runs, and what it gives."""

        def enter(module: Module, args: Any) -> None:
            self.stack.append(path)

        def leave(module: Module, args: Any, out: Any) -> None:
            if path in self.stack:  # a layer that was left by an exception is still above
                del self.stack[self.stack.index(path) :]
            taken = args[0] if args else None
            if not isinstance(out, Tensor):
                return
            if (
                not isinstance(taken, Tensor)
                or taken.buffer is not out.buffer
                or taken.shape != out.shape
            ):  # else it gave nothing of its own, as a Dropout that rests
                self.given.append((out.buffer, path))

        handles = module.register_forward_pre_hook(enter), module.register_forward_hook(leave)
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def layers(self, graph: Graph) -> dict[Value, str]:
        """Return the layer that gave each value, or what the value is a view of."""
        last = {id(storage): path for storage, path in self.given}
        values = [value for node in graph.nodes for value in node.outputs]
        return {v: last[id(v.storage)] for v in values if id(v.storage) in last}


class _Noting:
    """A recorder that notes, of each node, whether gradients flow."""

    def __init__(self, recorder: Any, watch: _Watch) -> None:
        self._recorder = recorder
        self._watch = watch
        self._producers: dict[Value, Node] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recorder, name)

    def record(
        self,
        op: Op,
        inputs: tuple[Tensor | None, ...],
        attrs: dict[str, Any],
        device: Device | None = None,
    ) -> tuple[Tensor, ...]:
        """Record an op."""
        recorder, watch = self._recorder, self._watch
        tracked = [x is not None and x._requires_grad for x in inputs]
        known = len(recorder.nodes)
        outputs: tuple[Tensor, ...] = recorder.record(op, inputs, attrs, device)
        for node in recorder.nodes[known:]:
            watch.notes[node] = Note(mode.grad, list(tracked))
            watch.within[node] = watch.stack[-1] if watch.stack else ""
            self._producers.update((value, node) for value in node.outputs)
        if op.view and len(recorder.nodes) == known:
            # A view that is there already, perhaps made where no gradient was to flow.
            node = self._producers.get(recorder.value(outputs[0]))
            if node is not None and len(watch.notes[node].tracked) == len(tracked):
                note = watch.notes[node]
                note.grad = note.grad or mode.grad
                note.tracked = [a or b for a, b in zip(note.tracked, tracked, strict=True)]
        return outputs

    def allocate(self, shape: Shape, dtype: Any, device: Device) -> Tensor:
        """Return a new tensor without values."""
        made: Tensor = self._recorder.allocate(shape, dtype, device)
        return made

    def write(self, out: Tensor, source: Tensor) -> None:
        """Record a write."""
        self._recorder.write(out, source)

    def read(self, tensor: Tensor) -> None:
        """Note a read of real values."""
        self._recorder.read(tensor)

    def random_key(self, generator: Any, device: Device) -> Tensor:
        """Return the key of a random draw."""
        key: Tensor = self._recorder.random_key(generator, device)
        return key
