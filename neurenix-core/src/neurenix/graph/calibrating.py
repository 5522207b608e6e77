"""The calibration of a module that is compiled for int8: once, and again for other weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neurenix.errors import PrecisionError, TraceError
from neurenix.graph.plan import optimize
from neurenix.graph.precision import Calibration, calibrate
from neurenix.graph.structure import flatten
from neurenix.graph.trace import trace_call
from neurenix.ops import tape
from neurenix.tensor import Tensor

if TYPE_CHECKING:
    from neurenix.graph.watch import Module

# Rows of one tensor that run together: more would only take more memory.
_ROWS = 8


class Calibrator:
    """Measures how far the activations of a module go, on given inputs.

    Args:
        module: The module.
        inputs: A tensor, whose rows along the first axis are single inputs; or a sequence of the
            arguments of calls: a tensor, or a tuple of arguments, each.

    Raises:
        TypeError: The inputs are something else.
        ValueError: There are none.
    """

    def __init__(self, module: Module, inputs: Tensor | Sequence[Any]) -> None:
        self._module = module
        self._calls = _calls(inputs)
        self._measured: Calibration | None = None
        self._weights: list[tuple[Tensor, object, int]] = []

    def is_current(self) -> bool:
        """Whether nothing was measured yet, or no weight has been written since.

        A write through memory that was lent, to a NumPy array or by DLPack, is not seen.
        """
        return all(
            tensor.buffer is buffer and tape.version_of(tensor).value == count
            for tensor, buffer, count in self._weights
        )

    def forget(self) -> None:
        """Measure anew when it is asked for next."""
        self._measured, self._weights = None, []

    def calibration(self) -> Calibration:
        """Return what was measured.

        Raises:
            PrecisionError: The module cannot be calibrated with these inputs.
        """
        if self._measured is None:
            module = self._module
            named = (*module.named_parameters(), *module.named_buffers())
            weights = [(tensor, tape.version_of(tensor)) for _, tensor in named]
            self._weights = [(tensor, tensor.buffer, v.value) for tensor, v in weights]
            self._measured = self._measure()
        return self._measured

    def _measure(self) -> Calibration:
        groups: dict[Any, list[tuple[tuple[Any, ...], list[Tensor]]]] = {}
        for args in self._calls:
            leaves, nesting = flatten((args, {}), (Tensor,), "the calibration inputs")
            key = nesting, tuple((x.shape, x.dtype, x.device) for x in leaves)
            groups.setdefault(key, []).append((args, leaves))
        whole: Calibration | None = None
        for calls in groups.values():
            try:
                graph = optimize(trace_call(self._module, calls[0][0], {}))
            except TraceError as error:
                raise PrecisionError(f"the calibration inputs cannot be traced: {error}") from error
            except Exception as error:
                error.add_note("This was raised for the calibration inputs.")
                raise
            found = calibrate(graph, (leaves for _, leaves in calls))
            whole = found if whole is None else whole.joined(found)
        assert whole is not None
        return whole


def _calls(inputs: Tensor | Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the arguments of each call."""
    if isinstance(inputs, Tensor):
        if not inputs.ndim or not inputs.shape[0]:
            raise ValueError(
                f"calibration is a tensor of inputs along its first axis; it has the shape "
                f"{inputs.shape}"
            )
        return [(rows,) for rows in _batches(inputs)]
    if isinstance(inputs, str | bytes) or not isinstance(inputs, Sequence):
        raise TypeError(
            "calibration is a tensor of inputs, or a sequence of tensors and tuples of arguments, "
            f"not {type(inputs).__name__}"
        )
    calls = [each if isinstance(each, tuple) else (each,) for each in inputs]
    if not calls:
        raise ValueError("calibration holds no inputs")
    if not all(flatten(call, (Tensor,), "the calibration inputs")[0] for call in calls):
        raise TypeError("calibration holds arguments without a tensor among them")
    return calls


def _batches(inputs: Tensor) -> list[Tensor]:
    """Cut a tensor into batches of one size: the last one takes rows of the one before, too."""
    count = inputs.shape[0]
    size = min(count, _ROWS)
    starts = [*range(0, count - size + 1, size)]
    if starts[-1] + size < count:
        starts.append(count - size)
    return [inputs[start : start + size] for start in starts]
