"""Build the emulated GPUs that the GPU engine is tested on, where there is a C++ compiler.

    python tools/build_emulated_gpu.py FOLDER

One is made of the sources as CUDA, in FOLDER/cuda, and one as HIP, in FOLDER/hip. Without a
compiler it says so and makes nothing: what needs them is skipped then.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

BUILD = Path(__file__).parents[1] / "neurenix-backend-cuda/phynexus-gpu/emulated/build.py"
COMPILERS = ("c++", "g++", "clang++")


def main() -> int:
    """Build both, at the same time where there are processors for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the builds and what is made of them go")
    folder = parser.parse_args().folder
    if "CXX" not in os.environ and not any(map(shutil.which, COMPILERS)):
        print("No C++ compiler is at hand: the kernels of the GPU engine are not tested.")
        return 0
    jobs = str(max(1, (os.cpu_count() or 1) // 2))
    running = [
        subprocess.Popen(
            [sys.executable, BUILD, folder / f"build-{vendor}", folder / vendor, "--jobs", jobs]
            + (["--hip"] if vendor == "hip" else [])
        )
        for vendor in ("cuda", "hip")
    ]
    return max(process.wait() for process in running)


if __name__ == "__main__":
    sys.exit(main())
