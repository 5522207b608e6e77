"""The vendors' libraries: where they are looked for, and what was found.

None of them has to be there: the engine's own kernels serve where one is not.

``NEURENIX_GPU_CUBLASLT``, ``NEURENIX_GPU_CUDNN`` and ``NEURENIX_GPU_ROCBLAS`` name a file to take
instead of looking, or are ``off``. ``NEURENIX_GPU_TF32=1`` lets products of float32 round their
operands to TF32, as `allow_tf32` does.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from . import _native

TF32 = "NEURENIX_GPU_TF32"

_NAMES = {"cublaslt": "cuBLASLt", "cudnn": "cuDNN", "rocblas": "rocBLAS"}
# rocBLAS counts its interface, not the releases of ROCm; one of another release would bring a
# second run-time library into the process, with streams of its own.
_ROCBLAS_OF_ROCM = {5: "librocblas.so.0", 6: "librocblas.so.4", 7: "librocblas.so.5"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a library may be.

    Attributes:
        path: A file, or a name that the loader looks for.
        origin: What it would belong to, for people.
    """

    path: str
    origin: str


def variable_of(library: str) -> str:
    """Return the environment variable that says where a library is."""
    return f"NEURENIX_GPU_{library.upper()}"


def places_of(library: str, runtime_major: int) -> list[Place]:
    """Return where a library is looked for, in this order.

    Args:
        library: One of those that the native module can use.
        runtime_major: The major version of the vendor's run-time library that the engine was
            built with.
    """
    if library == "cublaslt":
        name = f"libcublasLt.so.{runtime_major}"
        folder, distribution = f"cu{runtime_major}", "nvidia-cublas"
    elif library == "cudnn":
        name, folder, distribution = "libcudnn.so.9", "cudnn", f"nvidia-cudnn-cu{runtime_major}"
    else:
        name = _ROCBLAS_OF_ROCM.get(runtime_major, "librocblas.so")
        return [Place(name, "the system"), Place(f"/opt/rocm/lib/{name}", "ROCm's folder")]
    packages = [Path(root, folder, "lib", name) for root in _nvidia_folders()]
    installed = [Place(str(path), f"the package {distribution}") for path in packages]
    return [*(place for place in installed if Path(place.path).exists()), Place(name, "the system")]


def _nvidia_folders() -> Sequence[str]:
    """Return the folders of NVIDIA's packages, which have one namespace."""
    spec = find_spec("nvidia")
    return list(spec.submodule_search_locations or ()) if spec else []


def open_libraries(*, look: bool = True) -> dict[str, str]:
    """Open the libraries that are there.

    Args:
        look: Look where they usually are; otherwise only what variables name is taken.

    Returns:
        What was found of each, or why there is none, by the libraries' names; and whether TF32 is
        allowed.
    """
    found = {_NAMES[library]: _opened(library, look) for library in _native.LIBRARIES}
    if TF32 in os.environ:
        allow_tf32(os.environ[TF32] not in ("", "0"))
    found["TF32"] = "allowed" if _native.is_tf32_allowed() else f"not allowed; {TF32}=1 allows it"
    return found


def _opened(library: str, look: bool) -> str:
    variable = variable_of(library)
    given = os.environ.get(variable, "")
    if given == "off":
        return f"off, by {variable}; the engine's own kernels serve"
    if given:
        places = [Place(given, variable)]
    else:
        places = places_of(library, _native.RUNTIME_MAJOR) if look else []
    reasons = []
    for place in places:
        try:
            version = _native.open_library(library, place.path)
        except RuntimeError as error:
            reasons.append(f"{error} ({place.origin})")
        else:
            return f"{version}, {place.path}, from {place.origin}"
    looked = "; ".join(reasons) or f"not looked for; {variable} names a file"
    return f"absent: {looked}. The engine's own kernels serve"


def allow_tf32(allowed: bool) -> None:
    """Let products of float32 round their operands to TF32, which has 10 bits of the fraction.

    Convolutions and matrix products are several times as fast then, on NVIDIA's GPUs from Ampere
    on. Without it they are taken of float32 exactly. Plans that have been recorded stay as they
    are.
    """
    _native.allow_tf32(allowed)
