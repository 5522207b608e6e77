"""What the processor can do at most."""

from __future__ import annotations


def peak_flops() -> tuple[float, float]:
    """Measure the peak of fused multiply-adds of float32, on the instruction set in use.

    It takes a fraction of a second. Benchmarks put their results in relation to it.

    Returns:
        GFLOP/s of one core, and of all threads that the engine uses.
    """
    from neurenix_backend_cpu import _native

    return _native.peak_gflops(1), _native.peak_gflops(_native.threads())
