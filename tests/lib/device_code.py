"""Which GPUs a binary has code for, as the vendors' tools would list it."""

from __future__ import annotations

import re
import struct

_FATBIN = struct.pack("<IH", 0xBA55ED50, 1)
_BUNDLE = b"__CLANG_OFFLOAD_BUNDLE__"


def cuda_code(binary: bytes) -> set[str]:
    """Return ``sm_90`` for machine code, ``compute_90`` for PTX, of all of a binary's fat binaries.

    A fat binary is a header (magic, version, header size, size) and entries of a header (kind, two
    bytes, header size, size, ..., architecture at byte 28) and what follows it.
    """
    found = set()
    for match in re.finditer(re.escape(_FATBIN), binary):
        header, size = struct.unpack_from("<HQ", binary, match.start() + 6)
        place = match.start() + header
        end = place + size
        while place < end:
            kind, _, its_header, its_size = struct.unpack_from("<HHIQ", binary, place)
            (architecture,) = struct.unpack_from("<I", binary, place + 28)
            found.add({1: "compute", 2: "sm"}.get(kind, f"kind{kind}") + f"_{architecture}")
            place += its_header + its_size
    return found


def hip_code(binary: bytes) -> set[str]:
    """Return the names of the architectures, such as ``gfx90a``, of all of a binary's bundles.

    A bundle is the magic, the number of entries, and for each an offset, a size and a name.
    """
    found = set()
    for match in re.finditer(re.escape(_BUNDLE), binary):
        (count,) = struct.unpack_from("<Q", binary, match.end())
        place = match.end() + 8
        for _ in range(count):
            _, size, length = struct.unpack_from("<QQQ", binary, place)
            name = binary[place + 24 : place + 24 + length].decode()
            place += 24 + length
            if size and "amdgcn" in name:
                found.add(name.rpartition("-")[2])
    return found
