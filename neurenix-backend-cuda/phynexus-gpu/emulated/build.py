"""Build the engine for the emulated GPU, and lay it out as an installed plugin.

    python build.py [--hip] BUILD_FOLDER SITE_FOLDER

The sources are preprocessed as CUDA, or as HIP. With SITE_FOLDER on PYTHONPATH Neurenix has the
device `gpu_emulated`. cmake, a C++ compiler and pybind11 have to be at hand.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = "phynexus_gpu_emulated"


def build(folder: Path, jobs: int, hip: bool) -> None:
    """Compile the native module and the emulator's tests."""
    import pybind11

    options = [
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        f"-DPython_EXECUTABLE={sys.executable}",
        f"-DPHYNEXUS_EMULATED_HIP={'ON' if hip else 'OFF'}",
    ]
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    subprocess.run(["cmake", *generator, *options, "-S", HERE, "-B", folder], check=True)
    subprocess.run(["cmake", "--build", folder, "--parallel", str(jobs)], check=True)


def lay_out(folder: Path, site: Path) -> None:
    """Copy what was built, and the Python beside it, to a folder for PYTHONPATH."""
    package = site / PACKAGE
    shutil.rmtree(package, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(HERE / PACKAGE, package, ignore=ignored)
    shutil.copytree(HERE.parent / "phynexus_gpu", package / "phynexus_gpu", ignore=ignored)
    module = "_native" + sysconfig.get_config_var("EXT_SUFFIX")
    shutil.copy2(folder / module, package / "phynexus_gpu")
    for built in (folder / "emulator_test", *folder.glob("libstand_in_*.so")):
        shutil.copy2(built, package)
    metadata = site / f"{PACKAGE}-0.dist-info"
    metadata.mkdir(exist_ok=True)
    about = "Metadata-Version: 2.4\nName: phynexus-gpu-emulated\nVersion: 0\n"
    (metadata / "METADATA").write_text(about)
    (metadata / "entry_points.txt").write_text(f"[neurenix.backends]\ngpu_emulated = {PACKAGE}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("build", type=Path, help="where cmake works")
    parser.add_argument("site", type=Path, help="where the plugin goes")
    parser.add_argument("--jobs", type=int, default=1, help="compilers at a time (default: 1)")
    parser.add_argument("--hip", action="store_true", help="preprocess the sources as HIP")
    given = parser.parse_args()
    build(given.build, given.jobs, given.hip)
    lay_out(given.build, given.site)
