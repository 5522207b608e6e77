"""Tools to test ops and backends; the tests themselves are in `neurenix.testing.conformance`.

| File | Holds |
|---|---|
| `samples`, `samples_*` | samples of every op that has gradients |
| `gradcheck` | gradients against finite differences |
| `calls`, `calls_*` | the op database: calls of every op |
| `references`, `tolerances` | what a call should give, and how far off it may be |
| `requirements` | which dtypes a backend has to have a kernel for |
| `layouts` | ways to lay inputs out in memory |
| `watched`, `running` | guard zones around what kernels write; which kernels ran |
| `cases`, `checks`, `gradients` | what the tests of the kit go through |
| `coverage`, `speed`, `overrides` | its reports, and its expected failures |
| `conformance` | the kit: tests for pytest, level by level |
"""

from neurenix.testing.calls import Call, calls_of, op_names
from neurenix.testing.coverage import Coverage
from neurenix.testing.gradcheck import GradientMismatch, check_gradients
from neurenix.testing.references import expected
from neurenix.testing.requirements import REQUIRED, is_required
from neurenix.testing.running import NoKernel, Outcome, run
from neurenix.testing.samples import Sample, samples_of
from neurenix.testing.speed import Speed, measure
from neurenix.testing.tolerances import difference
from neurenix.testing.watched import KernelFault, Watch

__all__ = [
    "REQUIRED",
    "Call",
    "Coverage",
    "GradientMismatch",
    "KernelFault",
    "NoKernel",
    "Outcome",
    "Sample",
    "Speed",
    "Watch",
    "calls_of",
    "check_gradients",
    "difference",
    "expected",
    "is_required",
    "measure",
    "op_names",
    "run",
    "samples_of",
]
