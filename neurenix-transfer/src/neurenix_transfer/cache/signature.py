"""What a graph computes, as text: equal for graphs that compute the same from the same tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from neurenix import Tensor
from neurenix.graph import Node, Value
from neurenix.ops import tape


def signature(
    nodes: Iterable[Node],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    named: Collection[int],
) -> str:
    """Describe nodes without the names that a trace happened to give.

    Parameters and buffers are numbered in the order of their use, and described by shape and
    dtype; other tensors from outside, such as numbers in the code, by their values.

    Args:
        nodes: The nodes.
        inputs: What they are given.
        outputs: What they compute.
        named: The ids of the parameters and buffers.
    """
    names: dict[Value, str] = {value: f"x{number}" for number, value in enumerate(inputs)}
    captured: dict[int, str] = {}

    def name(value: Value | None) -> str:
        if value is None:
            return "-"
        if value.tensor is not None and value not in names:
            names[value] = _captured(value, captured, named)
        return names.setdefault(value, f"k{len(names)}")

    lines = [f"{name(value)}:{value}" for value in inputs]
    for node in nodes:
        read = ",".join(map(name, node.inputs))
        attrs = ",".join(f"{key}={value!s}" for key, value in sorted(node.attrs.items()))
        for number, value in enumerate(node.outputs):
            names.setdefault(value, f"v{len(names)}.{number}")
        made = ",".join(f"{name(v)}:{v}{list(v.strides)}" for v in node.outputs)
        lines.append(f"{made}={node.op.name}({read};{attrs})")
    lines.append(",".join(map(name, outputs)))
    return "\n".join(lines)


def captured_tensors(nodes: Iterable[Node], named: Collection[int]) -> list[Tensor]:
    """Return the parameters and buffers that nodes read, in the order of their use."""
    found: dict[int, Tensor] = {}
    for node in nodes:
        for value in node.operands:
            if value.tensor is not None and id(value.tensor) in named:
                found.setdefault(id(value.tensor), value.tensor)
    return list(found.values())


def _captured(value: Value, captured: dict[int, str], named: Collection[int]) -> str:
    assert value.tensor is not None
    known = captured.get(id(value.tensor))
    if known is None:
        known = f"t{len(captured)}:{value}"
        if id(value.tensor) not in named:
            known += f"={digest_tensors([value.tensor])}"
        captured[id(value.tensor)] = known
    return known


class Fingerprint:
    """The digest of some tensors' values, computed again only where they may have changed.

    Args:
        tensors: The tensors.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = list(tensors)
        self._seen: list[tuple[Any, int]] | None = None
        self._digest = ""

    def is_of(self, tensors: Sequence[Tensor]) -> bool:
        """Whether it is that of these very tensors."""
        return len(tensors) == len(self._tensors) and all(
            a is b for a, b in zip(tensors, self._tensors, strict=True)
        )

    def digest(self) -> str:
        """Return the digest of the values as they are now."""
        seen: list[tuple[Any, int]] = []
        lent = False
        for tensor in self._tensors:
            version = tape.version_of(tensor)
            lent = lent or version.lent
            seen.append((tensor.buffer, version.value))
        if self._seen is None or lent or not _same(seen, self._seen):
            self._digest = digest_tensors(self._tensors)
            self._seen = seen
        return self._digest

    def written(self) -> bool:
        """Whether Neurenix wrote to a tensor since the last digest; it costs microseconds."""
        if self._seen is None:
            return True
        return any(
            tensor.buffer is not buffer or tape.version_of(tensor).value != count
            for tensor, (buffer, count) in zip(self._tensors, self._seen, strict=True)
        )


def digest_tensors(tensors: Iterable[Tensor]) -> str:
    """Return the digest of tensors: their values, shapes and dtypes."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        array = tensor.detach().numpy()
        digest.update(f"{array.dtype}{array.shape};".encode())
        # A view of bytes: the buffer protocol does not know every dtype, such as bfloat16.
        if array.size:
            digest.update(array.reshape(-1).view("uint8").data)
    return digest.hexdigest()


def _same(a: list[tuple[Any, int]], b: list[tuple[Any, int]]) -> bool:
    return len(a) == len(b) and all(
        x[0] is y[0] and x[1] == y[1] for x, y in zip(a, b, strict=True)
    )
