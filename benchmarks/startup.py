"""What it takes to begin: the time to import and open device cpu, and the disk an install takes.

In fresh interpreters, `import neurenix` and a first tensor beside `import torch` and a first
tensor; the bare interpreter's own start is left out. Sizes are those of what is installed here.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import machine
import peer

LIMIT_MS = 150.0
PROGRAM = """\
import time
start = time.perf_counter()
{0}
print(time.perf_counter() - start)
"""
PROGRAMS = {
    "neurenix": "import neurenix\nneurenix.zeros((1,), device='cpu')",
    "NumPy": "import numpy\nnumpy.zeros(1)",
    "PyTorch": "import torch\ntorch.zeros(1)",
}
OURS = ["neurenix-core", "neurenix-transfer", "neurenix-backend-cpu", "numpy"]


def main() -> None:
    parser = peer.options(__doc__, rounds=15)
    options = parser.parse_args()
    options.threads = machine.use_threads(options.threads)

    import installed_size
    from results import Goal, Results, in_ms

    results = Results("startup.py", options.json, options.threads)
    found = dict(PROGRAMS)
    if options.without_peers:
        del found["PyTorch"]
    elif importlib.util.find_spec("torch") is None:
        sys.exit("torch is the peer and is not installed; --without-peers goes without")
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for each in range(options.rounds + 1):
        for name, program in found.items():
            took = seconds_of(PROGRAM.format(program))
            if each:  # the first one writes the byte code
                seconds[name].append(took)
    results.compare(
        "Import and first tensor on device cpu, NumPy's import included",
        "ms",
        in_ms({name: peer.Times(tuple(values)) for name, values in seconds.items()}),
        limits={"neurenix": LIMIT_MS},
    )

    ours = installed_size.required_by(OURS)
    sizes = {"neurenix": [installed_size.megabytes(ours)]}
    results.remark("neurenix is " + ", ".join(sorted(ours)))
    goals = []
    if not options.without_peers:
        without_cuda = installed_size.required_by(["torch"], installed_size.CUDA_DISTRIBUTIONS)
        whole = installed_size.required_by(["torch"])
        sizes["PyTorch as installed"] = [installed_size.megabytes(whole)]
        sizes["PyTorch without CUDA"] = [
            installed_size.megabytes(
                without_cuda, lambda file: not installed_size.CUDA_FILES.search(file.name)
            )
        ]
        results.remark(
            "PyTorch without CUDA leaves out CUDA's distributions, and the libraries in PyTorch "
            "itself that are for CUDA: about what the build for CPUs takes"
        )
        goals.append(Goal("neurenix", 7.0, "PyTorch without CUDA"))
    results.compare("Size of an install on the disk", "MB", sizes, goals=goals)


def seconds_of(program: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    peer.start_fairly()
    main()
