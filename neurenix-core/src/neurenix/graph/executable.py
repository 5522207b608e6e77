"""What runs a graph: core's plan, or what a backend makes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from neurenix.backends.registry import record_of, resolve
from neurenix.errors import PlanError, PrecisionError
from neurenix.graph.plan import Plan, optimize
from neurenix.graph.precision import PRECISIONS, Calibration, Precision, PrecisionName

if TYPE_CHECKING:
    from neurenix.backends.device import Device, DeviceLike
    from neurenix.graph.graph import Graph
    from neurenix.tensor import Tensor

_LOGGER = logging.getLogger(__name__)
_told: set[str] = set()

Fallback: TypeAlias = Literal["warn", "silent", "error"]
"""What happens where a plan cannot stand for the code."""


class Executable(Protocol):
    """A graph, ready to run: a `Plan`, or what a backend's ``compile(graph)`` gives."""

    def run(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Run the graph on its inputs in a row, and return the results in a row."""
        ...


def make_executable(graph: Graph) -> Executable:
    """Return what runs a graph: the backend's own, if it compiles graphs and takes this one.

    Where the backend compiles graphs but not this one, core's plan runs it, and says so when it is
    printed; a warning is logged, once for each reason.
    """
    compile_graph: Callable[[Graph], Executable | None] | None = getattr(
        graph.device.backend, "compile", None
    )
    if compile_graph is None:
        return Plan(graph)
    try:
        executable = compile_graph(optimize(graph))
        reason = "it takes none of this kind"
    except PlanError as error:
        executable, reason = None, str(error)
    if executable is not None:
        return executable
    obstacle = f"the backend of {str(graph.device)!r} has no plan of it: {reason}"
    if obstacle not in _told:
        _told.add(obstacle)
        _LOGGER.warning("%s runs on core's plan, since %s", graph.name, obstacle)
    return Plan(graph, obstacle)


def make_narrow_executable(
    graph: Graph, precision: PrecisionName, calibration: Calibration | None = None
) -> Executable:
    """Return what runs a graph in bfloat16 or int8, which only backends do.

    Args:
        graph: The graph, as it was traced.
        precision: The precision.
        calibration: For int8, what was measured of the graph as `optimize` makes it, or of one of
            the same ops.

    Raises:
        PrecisionError: The device's backend has no plans of this precision, or none of this
            graph; or the calibration is of another graph.
    """
    check_precision(graph.device, precision)
    backend: Any = graph.device.backend
    optimized = optimize(graph)
    ranges = {} if calibration is None else calibration.ranges(optimized)
    executable: Executable | None
    try:
        executable = backend.compile(optimized, Precision(precision, ranges))
        reason = "it has no code for one of its ops"
    except PlanError as error:
        executable, reason = None, str(error)
    if executable is None:
        raise PrecisionError(
            f"the backend {_backend_of(graph.device)!r} has no {precision} plan of {graph.name}: "
            f"{reason}"
        )
    return executable


def available_precisions(device: DeviceLike | None = None) -> tuple[str, ...]:
    """Return the precisions that plans on a device may have; by default on the default device.

    ``"float32"`` is always among them.

    Raises:
        DeviceError: The device cannot be used.
    """
    return tuple(getattr(resolve(device).backend, "precisions", ("float32",)))


def check_precision(device: Device, precision: PrecisionName) -> None:
    """Check that plans on a device may be of a precision.

    Raises:
        ValueError: There is no such precision.
        PrecisionError: The device's backend has no such plans.
    """
    check_precision_name(precision)
    known = available_precisions(device)
    if precision != "float32" and precision not in known:
        raise PrecisionError(
            f"the backend {_backend_of(device)!r}, which serves {device}, has no {precision} "
            f"plans; it has {', '.join(known)}. Choose one of these, or install a backend that has "
            f"it: pip install neurenix-backend-{device.type}"
        )


def check_precision_name(precision: object) -> None:
    """Check that there is a precision of a name.

    Raises:
        ValueError: There is none.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is 'float32', 'bfloat16' or 'int8', not {precision!r}")


def _backend_of(device: Device) -> str:
    return record_of(device).spec.name
