"""How quick a device is beside NumPy, on the calls of the op database."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from neurenix.autograd import no_grad
from neurenix.backends import Device
from neurenix.backends.registry import host_device
from neurenix.dtypes import float32
from neurenix.testing.calls import LARGE, Call, calls_of, op_names
from neurenix.testing.layouts import place
from neurenix.testing.running import NoKernel, without_host

_WARM_UP = 2
_ROUNDS = 9
_ROUND_S = 2e-3  # a round repeats quick calls until it takes about so long


@dataclass(frozen=True)
class Speed:
    """The time of one call.

    Attributes:
        op: The op.
        call: The call's label.
        device_ms: The median time on the device, until its queue is empty.
        numpy_ms: The median time of NumPy's kernel.
        ratio: The median of the device's time over NumPy's, of rounds in which both were measured
            one after the other.
        ratio_low: The lower quartile of these ratios.
        ratio_high: The upper quartile.
    """

    op: str
    call: str
    device_ms: float
    numpy_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float

    def line(self) -> str:
        """Return a line of a table."""
        times = f"{self.device_ms:10.3f} ms {self.numpy_ms:10.3f} ms"
        spread = f"({self.ratio_low:.2f} to {self.ratio_high:.2f})"
        return f"{self.op:<32}{times} {self.ratio:8.2f} {spread}"

    def as_dict(self) -> dict[str, Any]:
        """Return it for other programs."""
        return asdict(self)


def measure(device: Device, ops: Iterable[str] | None = None) -> list[Speed]:
    """Time the large call of every op on a device and in NumPy, in float32.

    Args:
        device: The device.
        ops: Names of ops; None means all.
    """
    found = []
    for name in op_names() if ops is None else ops:
        for call in calls_of(name):
            if call.label != LARGE:
                continue
            try:
                ours, theirs = _timed(call, device), _timed(call, host_device())
            except NoKernel:
                continue
            pairs = [(ours(), theirs()) for _ in range(_ROUNDS)]  # in turns: both see one machine
            device_ms, numpy_ms = map(statistics.median, zip(*pairs, strict=True))
            low, middle, high = statistics.quantiles(a / b for a, b in pairs)
            found.append(Speed(name, call.label, device_ms, numpy_ms, middle, low, high))
    return found


def _timed(call: Call, device: Device) -> Callable[[], float]:
    """Return a function that gives the milliseconds of a call, warmed up."""
    made = call.cast(float32)
    backend = device.backend
    assert backend is not None

    def repeat(count: int) -> float:
        # Fresh inputs: an optimizer's step writes to its own.
        tensors = tuple(None if x is None else place(x, device) for x in made.inputs)
        backend.synchronize(device.index)
        start = time.perf_counter()
        with no_grad():
            for _ in range(count):
                without_host(made, tensors, device)
            backend.synchronize(device.index)
        return (time.perf_counter() - start) / count * 1e3

    once = min(repeat(1) for _ in range(_WARM_UP))
    count = max(1, min(100, round(_ROUND_S * 1e3 / max(once, 1e-6))))
    return lambda: repeat(count)
