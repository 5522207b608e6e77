"""In what numbers the frozen part runs: float32, or the narrower ones that a backend has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import neurenix
from neurenix.dtypes import float32
from neurenix.errors import PrecisionError
from neurenix.graph import (
    Calibration,
    Executable,
    Graph,
    PrecisionName,
    check_precision,
    make_executable,
    make_narrow_executable,
    optimize,
)
from neurenix.nn import Module

if TYPE_CHECKING:
    from neurenix_transfer.cache.disk import Say


def check_frozen_precision(model: Module, precision: PrecisionName) -> None:
    """Check that the frozen part of a model can run in a precision.

    Raises:
        ValueError: There is no such precision.
        PrecisionError: The backend of the model's device has no such plans, or the model is of
            another dtype than float32.
    """
    param = next(model.parameters(), None)
    device = neurenix.default_device() if param is None else param.device
    check_precision(neurenix.backends.resolve(device), precision)
    if precision != "float32" and param is not None and param.dtype != float32:
        raise PrecisionError(
            f"precision={precision!r} is for models of float32, and this {type(model).__name__} is "
            f"of {param.dtype}"
        )


@dataclass(frozen=True)
class Plans:
    """Makes the plans of a frozen part.

    Attributes:
        precision: What they compute in.
        calibrations: For int8, what was measured; several where samples of some shapes, such as
            texts of some lengths, lead to other ops.
        samples: How many samples it was measured on.
        say: Prints a line.
    """

    precision: PrecisionName = "float32"
    calibrations: tuple[Calibration, ...] = ()
    samples: int = 0
    say: Say | None = None

    def make(self, graph: Graph) -> tuple[Executable, str]:
        """Return what runs a graph, and what names its numbers; nothing does so for float32.

        Raises:
            PrecisionError: The backend has no plan of the graph in this precision.
        """
        if self.precision == "bfloat16":
            return make_narrow_executable(graph, self.precision), self.precision
        if self.precision == "int8":
            optimized = optimize(graph)
            fitting = next((each for each in self.calibrations if each.fits(optimized)), None)
            if fitting is not None:
                plan = make_narrow_executable(graph, self.precision, fitting)
                return plan, f"{self.precision} {fitting.digest}"
            self._say_what_is_not_calibrated(graph)
        return make_executable(graph), ""

    def _say_what_is_not_calibrated(self, graph: Graph) -> None:
        shapes = ", ".join(str(value.shape[1:]) for value in graph.inputs)
        if self.say is not None:
            self.say(
                f"Precision: float32 for samples of the shape {shapes}, whose graph has other ops "
                "than those that int8 was calibrated on"
            )
