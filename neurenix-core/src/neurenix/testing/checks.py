"""The check that most tests of the kit make: a call on the device against its reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix.backends import Device
from neurenix.dtypes import float32
from neurenix.testing.cases import Case
from neurenix.testing.references import expected
from neurenix.testing.requirements import is_required
from neurenix.testing.running import NoKernel, run
from neurenix.testing.tolerances import difference

if TYPE_CHECKING:
    import pytest

_DECOMPOSED_SLACK = 8.0  # every step of a decomposition rounds


def check_values(case: Case, device: Device, request: pytest.FixtureRequest) -> None:
    """Make a call on a device under watch, and compare its outputs with the reference.

    Skips the test where the device would need the host for a dtype that is not compulsory.

    Args:
        case: The call, its dtype and layout.
        device: The device.
        request: The running test, in which the way of the call is noted.
    """
    import pytest

    from neurenix.testing.conformance.reporter import note_way

    def note(way: str) -> None:
        target = call.attrs.get("dtype") if call.inputs else None
        if target is None:
            note_way(request, call.op.name, dtype, way)
        elif dtype == float32:  # a cast is filed under what it gives
            note_way(request, call.op.name, target, way)

    call, dtype, layout = case
    if layout == "repeated":
        repeating = call.repeating()
        assert repeating is not None
        call = repeating
    cast = call.cast(dtype)
    try:
        outcome = run(cast, device, layout)
    except NoKernel as error:
        note("fallback")
        if is_required(call, dtype):
            pytest.fail(f"{error}, and {dtype} is compulsory for {call.op.name!r}", pytrace=False)
        pytest.skip(str(error))
    note(outcome.way)
    metas = call.op.meta(*cast.inputs, **cast.attrs)
    metas = metas if len(call.op.outputs) > 1 else (metas,)
    slack = 1.0 if outcome.way == "native" else _DECOMPOSED_SLACK
    for name, meta, ours, theirs in zip(
        call.op.outputs, metas, outcome.results, expected(call, dtype), strict=True
    ):
        assert ours.dtype == meta.dtype, f"{name} is {ours.dtype}, and should be {meta.dtype}"
        wrong = difference(call.op, dtype, ours, theirs, slack)
        assert wrong is None, f"{name} of {call.op.name!r} ({outcome.way}): {wrong}"
