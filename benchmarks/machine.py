"""The machine that is measured on: its name, its threads, its peak, and who serves device cpu."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from pathlib import Path

# What forces OpenBLAS to one kernel. It is set on machines where an older OpenBLAS chooses wrongly,
# and keeps a current one from the best kernel it has: NumPy would be slowed, its peers would not.
FORCED_KERNELS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")

# Read by each library when it is loaded. ONNX Runtime and OpenVINO are told when a model is.
THREAD_VARIABLES = (
    "NEURENIX_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)

PEERS = (
    "torch",
    "torchvision",
    "onnxruntime",
    "onnxruntime-webgpu",
    "openvino",
    "nncf",
    "transformers",
    "scikit-learn",
)


def start_fairly() -> None:
    """Start the script again without a forced OpenBLAS kernel. To be called before NumPy's import.

    OpenBLAS reads its variables when it is loaded, so taking them away later would be too late.
    """
    forced = [name for name in FORCED_KERNELS if name in os.environ]
    if not forced:
        return
    print(f"Starting again without {', '.join(forced)}: a forced OpenBLAS kernel would slow NumPy.")
    sys.stdout.flush()
    kept = {name: value for name, value in os.environ.items() if name not in FORCED_KERNELS}
    os.execve(sys.executable, [sys.executable, *sys.argv], kept)


def cores() -> int:
    """Return the number of cores that we may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_threads(threads: int | None) -> int:
    """Give every library the same number of threads, all cores by default, and us device cpu.

    To be called before any of them is loaded.
    """
    threads = threads or cores()
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    os.environ.setdefault("NEURENIX_DEVICE", "cpu")
    return threads


def describe() -> str:
    """Name the processor, the number of cores that we may use, and the versions."""
    import numpy

    return (
        f"{processor()}, {cores()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, NumPy {numpy.__version__}{_blas()}"
    )


def processor() -> str:
    """Return what the processor calls itself, with family and model where its name says little."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    name = found.get("model name", platform.machine())
    if "cpu family" in found:  # virtual machines often say "AMD EPYC" and no more
        name += f" (family {found['cpu family']}, model {found.get('model', '?')})"
    return name


def cpu_backend() -> str:
    """Return the distribution that serves device cpu, with its version."""
    from importlib.metadata import version

    from neurenix.backends.registry import record_of, resolve

    distribution = record_of(resolve("cpu")).distribution
    kind = " (NumPy)" if distribution == "neurenix-core" else ""
    return f"{distribution} {version(distribution)}{kind}"


def peers() -> dict[str, str]:
    """Return the versions of the peers that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in PEERS:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def peak_gflops() -> tuple[float, float] | None:
    """Return the float32 peak in GFLOP/s, of one core and of all, as the CPU engine measures it.

    None where the engine is not installed: nothing else here can measure it.
    """
    try:
        from neurenix_backend_cpu import peak_flops
    except ImportError:
        return None
    one, every = peak_flops()
    return float(one), float(every)


def describe_peak(peak: tuple[float, float] | None) -> str:
    """Say what the peak is, or why it is not known."""
    if peak is None:
        return "float32 FMA peak: not measured, neurenix-backend-cpu is not installed"
    return f"float32 FMA peak, measured: {peak[0]:.0f} GFLOP/s one core, {peak[1]:.0f} all"


def _blas() -> str:
    try:
        from threadpoolctl import threadpool_info
    except ModuleNotFoundError:
        return ""
    used = [info for info in threadpool_info() if info["user_api"] == "blas"]
    return "".join(
        f", {info['internal_api']} {info['version']} with {info.get('architecture', 'its')} kernels"
        for info in used
    )
