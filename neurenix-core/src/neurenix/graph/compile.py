"""Compiled modules and functions: plans made as calls come in, or the code itself."""

from __future__ import annotations

import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast, overload

from neurenix.backends.registry import resolve
from neurenix.errors import PrecisionError, TraceError
from neurenix.graph.calibrating import Calibrator
from neurenix.graph.compiled_function import CompiledFunction
from neurenix.graph.executable import (
    Executable,
    Fallback,
    check_precision,
    check_precision_name,
    make_executable,
    make_narrow_executable,
)
from neurenix.graph.structure import flatten
from neurenix.graph.trace import home_of, trace_call
from neurenix.graph.watch import Module, ModuleState
from neurenix.ops.mode import mode
from neurenix.ops.op import TensorMeta
from neurenix.tensor import Tensor

if TYPE_CHECKING:
    from neurenix.graph.graph import Graph
    from neurenix.graph.precision import PrecisionName

# Plans keep memory; inputs of ever other shapes would pile them up.
_MAX_PLANS = 16


class Compiled:
    """A module that runs as plans; see `compile`.

    Attributes:
        module: The module.
        fallback: What happens where it runs eagerly, or in float32 where another precision was
            asked for: "warn", "silent" or "error".
        precision: What its plans compute in.
    """

    def __init__(
        self,
        module: Module,
        fallback: Fallback,
        precision: PrecisionName = "float32",
        calibration: Tensor | Sequence[Any] | None = None,
    ) -> None:
        self.module = module
        self.fallback: Fallback = fallback
        self.precision: PrecisionName = precision
        self._calibrator = None if calibration is None else Calibrator(module, calibration)
        self._lock = threading.RLock()
        self._plans: OrderedDict[Any, tuple[Graph, Executable] | str] = OrderedDict()
        self._told: set[str] = set()
        self._state: ModuleState | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the module returns for these arguments."""
        if mode.tracer is not None:
            return self.module(*args, **kwargs)
        try:
            leaves, nesting = flatten((args, kwargs), (Tensor,), "the arguments of a plan")
        except TraceError as error:
            return self._run_eagerly(str(error), args, kwargs)
        state = self._state_now()
        reason = _reason_for_eager(state, leaves) if mode.grad else None
        if reason is None:
            found = self._find((nesting, tuple(map(_described, leaves)), state.key), args, kwargs)
            if not isinstance(found, str):
                graph, executable = found
                return graph.output_structure.rebuild(iter(executable.run(leaves)))
            reason = found
        return self._run_eagerly(reason, args, kwargs)

    def executable(self, *args: Any, **kwargs: Any) -> Executable:
        """Return what runs for these arguments, tensors or `TensorMeta`: for looking at it.

        Raises:
            TraceError: The module runs eagerly for them; the message says why.
        """
        leaves, nesting = flatten((args, kwargs), (Tensor, TensorMeta), "the examples")
        home = home_of(self.module) or resolve()
        described = (
            _described(leaf) if isinstance(leaf, Tensor) else (*leaf, home, False)
            for leaf in leaves
        )
        found = self._find((nesting, tuple(described), self._state_now().key), args, kwargs)
        if isinstance(found, str):
            raise TraceError(found)
        return found[1]

    def _state_now(self) -> ModuleState:
        if self._state is None or not self._state.holds():
            self._state = ModuleState(self.module)
        return self._state

    def _find(
        self, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Graph, Executable] | str:
        """Return the plan for arguments, or why there is none."""
        with self._lock:
            if self._calibrator is not None and not self._calibrator.is_current():
                self._calibrator.forget()  # other weights, whose activations go elsewhere
                self._plans.clear()
            found = self._plans.get(key)
            if found is None:
                found = self._plans[key] = self._make(args, kwargs)
                if len(self._plans) > _MAX_PLANS:
                    self._plans.popitem(last=False)
            else:
                self._plans.move_to_end(key)
        return found

    def _make(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Graph, Executable] | str:
        try:
            graph = trace_call(self.module, args, kwargs)
        except TraceError as error:
            return str(error)
        if not graph.is_pure:
            return (
                "its forward pass changes its buffers, as BatchNorm does in training mode; "
                "call eval() for inference"
            )
        return graph, self._executable(graph)

    def _executable(self, graph: Graph) -> Executable:
        """Return what runs a graph, of the precision asked for where the backend has that."""
        if self.precision == "float32":
            return make_executable(graph)
        try:
            check_precision(graph.device, self.precision)  # before anything is measured
            calibrator = self._calibrator
            calibration = None if calibrator is None else calibrator.calibration()
            return make_narrow_executable(graph, self.precision, calibration)
        except PrecisionError as error:
            if self.fallback == "error":
                raise
            self._warn(f"runs in float32: {error}")
            return make_executable(graph)

    def _run_eagerly(self, reason: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._tell(reason)
        return self.module(*args, **kwargs)

    def _tell(self, reason: str) -> None:
        """Say once that the module runs eagerly, and why."""
        if self.fallback == "error":
            name = type(self.module).__name__
            raise TraceError(f"the compiled {name} cannot run as a plan: {reason}")
        narrow = "" if self.precision == "float32" else ", in float32"
        self._warn(f"runs eagerly{narrow}: {reason}")

    def _warn(self, what: str) -> None:
        if self.fallback == "warn" and what not in self._told:
            self._told.add(what)
            line = f"the compiled {type(self.module).__name__} {what}"
            warnings.warn(line, RuntimeWarning, stacklevel=_depth())

    def __repr__(self) -> str:
        plans = sum(not isinstance(found, str) for found in self._plans.values())
        return f"<compiled {type(self.module).__name__}: {plans} plans>"


@overload
def compile(  # noqa: A001  # pyright: ignore[reportOverlappingOverload]
    module: Module,
    *examples: Any,
    fallback: Fallback = "warn",
    precision: PrecisionName = "float32",
    calibration: Tensor | Sequence[Any] | None = None,
) -> Compiled: ...


@overload
def compile(  # noqa: A001
    module: Callable[..., Any], *examples: Any, fallback: Fallback = "warn"
) -> CompiledFunction: ...


def compile(  # noqa: A001  (the name that the field gives it)
    module: Module | Callable[..., Any],
    *examples: Any,
    fallback: Fallback = "warn",
    precision: PrecisionName = "float32",
    calibration: Tensor | Sequence[Any] | None = None,
) -> Compiled | CompiledFunction:
    """Return a function that does what a module or a function does, as a plan.

    **A module**, for inference. It is traced; batch norms are folded into the layers before them,
    what follows a convolution is fused into it, what depends on parameters alone is computed once,
    and memory is planned. The backend's own compiler takes the graph where it has one. Answers
    equal the module's to rounding, and require no gradient.

    A plan serves one set of shapes, dtypes, devices, train and eval modes and ``requires_grad``;
    others are traced when they come, up to 16 at a time. Weights are read where they are: loading
    others, or an optimizer's step, shows in the next call. So do other parameters or submodules
    in the module's place. A change of its plain attributes does not: compile it anew.

    The module itself runs instead, with one warning a reason, where autograd is on and either an
    input requires a gradient or the module is training; where a forward pass draws random numbers
    or updates buffers, as Dropout and BatchNorm do in training mode; and where it cannot be
    traced (see `neurenix.graph.trace`).

    **Precision.** ``"bfloat16"`` and ``"int8"`` make plans of a module that keep weights and
    activations in narrower numbers, and take and give float32 all the same. Answers differ then by
    more than rounding: measure what that costs. For int8 the module is run on ``calibration``
    first, in float32, to see how far its activations go: some 100 inputs like those to come. That
    is done again when weights were written since, as by an optimizer's step. A backend says which
    precisions it has; where it has not the one asked for, the plan is one of float32, which is
    said as ``fallback`` has it.

    **A function**, such as a training step: forward, backward and update become one plan.

        def step(x, y):
            loss = cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        run = neurenix.compile(step)
        for x, y in batches:
            loss = run(x, y)

    A run does what the function would have done: parameters, the optimizer's state and running
    statistics change, random numbers come from the same streams, and ``grad`` holds what it would
    hold. Results are off the tape. The first call makes what an optimizer keeps.

    Learning rates, and all values of tensors, are read at each run. The function is traced anew
    for arguments of other shapes, dtypes, devices or plain values, and where something else has
    changed that it reads: modes, ``requires_grad``, settings of modules, options of optimizers,
    tensors and modules in the place of others, and plain values of variables around it, of
    globals, and of attributes that its code names. What else it reads, such as the values of NumPy
    arrays or the insides of Python modules, a plan has as it was when it was traced.

    The function itself runs instead, with one warning a reason, where it asks for a value that
    only a real run has, such as ``loss.item()``; where it changes Python's state, such as a count
    of its calls; where it takes from an iterator or draws from other random numbers than
    Neurenix's; where a module has forward hooks; where an argument requires a gradient, or a
    result is still on the tape; and where what it reads is another at each call. It is taken to
    print nothing and to write no files.

    Args:
        module: The module, or the function.
        examples: Arguments to make a plan for now: tensors or `TensorMeta`, also nested. For a
            function whose optimizer has not taken a step yet, the first call makes it.
        fallback: "warn" once, be "silent", or raise an "error" where it runs itself, or in
            float32 where another precision was asked for.
        precision: "float32", "bfloat16" or "int8"; of modules alone.
        calibration: For int8, and only for that: a tensor of inputs along its first axis; or a
            sequence with the arguments of a call each, a tensor or a tuple.

    Raises:
        TypeError: It cannot be called, or ``calibration`` is neither of these.
        ValueError: ``fallback`` or ``precision`` is none of these, a function is to have another
            precision, or calibration inputs are missing or not wanted.
        PrecisionError: There is no plan of that precision, and ``fallback`` is "error".
    """
    if fallback not in ("warn", "silent", "error"):
        raise ValueError(f"fallback is 'warn', 'silent' or 'error', not {fallback!r}")
    _check_precision_options(module, precision, calibration)
    given: Any = module
    if not callable(given) or isinstance(given, type):
        raise TypeError(
            f"compile takes a module or a function of tensors, such as a training step, "
            f"not {module!r}"
        )
    if not hasattr(module, "named_parameters"):
        function = CompiledFunction(module, fallback)
        if examples:
            function.prepare(*examples)
        return function
    compiled = Compiled(cast("Module", module), fallback, precision, calibration)
    if examples:
        try:
            compiled.executable(*examples)
        except TraceError as error:
            compiled._tell(str(error))
    return compiled


def _depth() -> int:
    """Return how far up from the caller the code stands that called this module."""
    frame, depth = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__") == __name__:
        frame, depth = frame.f_back, depth + 1
    return depth


def _check_precision_options(module: object, precision: object, calibration: object) -> None:
    check_precision_name(precision)
    if precision != "float32" and not hasattr(module, "named_parameters"):
        raise ValueError(
            f"precision={precision!r} is for modules: a function may be a training step, whose "
            "gradients and updates are lost in narrow numbers. Compile the module that it calls, "
            "or leave precision out"
        )
    if precision == "int8" and calibration is None:
        raise ValueError(
            "precision='int8' needs calibration=: a tensor of some 100 inputs like those to come, "
            "to see how far activations go"
        )
    if precision != "int8" and calibration is not None:
        raise ValueError(f"calibration is for precision='int8', not for {precision!r}")


def _described(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.dtype, tensor.device, tensor.requires_grad


def _reason_for_eager(state: ModuleState, inputs: Sequence[Tensor]) -> str | None:
    """Return why a module runs itself where autograd is on, or None if it need not."""
    if any(tensor.requires_grad for tensor in inputs):
        return "an input requires a gradient, and a plan leaves no tape"
    if state.trains:
        return (
            "it is in training mode, has trainable parameters and autograd is on, but a plan "
            "leaves no tape; for inference call eval(), or use no_grad()"
        )
    return None
