"""Backends that are the example with one fault each, such as are made in real ones."""

from __future__ import annotations

from collections.abc import Iterable

from neurenix.plugins import BackendSpec, hookimpl

FAULTS = (
    "late_source",
    "early_release",
    "hoarder",
    "offset_blind",
    "stride_blind",
    "lazy_writer",
    "mixed_up_devices",
    "false_claim",
    "own_randomness",
    "no_broadcast",
    "guessed_scales",
)


@hookimpl
def neurenix_register_backends() -> Iterable[BackendSpec]:
    """Declare a backend for each fault."""
    for fault in FAULTS:
        yield BackendSpec(
            name=fault.replace("_", "-"),
            device_type=fault,
            api=(1, 0),
            factory=f"neurenix_faulty_examples.backends:{fault}",
            experimental=True,
        )
