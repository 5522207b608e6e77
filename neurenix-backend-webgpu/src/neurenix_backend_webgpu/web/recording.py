"""From a model to the WebGPU work that the page repeats: shaders, buffers, dispatches.

The backend's own kernels record it, on a device that has no GPU behind it. So what the browser runs
is what the backend runs, and an export needs neither a GPU nor a driver.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.backends import Kernel
from neurenix.dtypes import ALL
from neurenix.graph import Constants, Graph, Node, Value
from neurenix.graph.passes import fold_constants, fuse, lower, plan_memory, remove_dead_code
from neurenix.ops.movement import assign
from neurenix.ops.shapes import dense_strides
from neurenix_backend_webgpu import _native
from neurenix_backend_webgpu.chains import fuse_chains
from neurenix_backend_webgpu.kernels import kernels
from neurenix_backend_webgpu.web.constants import constant_tensor, unused_name
from neurenix_backend_webgpu.web.dense import make_dense
from neurenix_backend_webgpu.web.errors import WebExportError

if TYPE_CHECKING:
    from neurenix import Tensor
    from neurenix.dtypes import DType
    from neurenix.ops.op import Op, Shape


@dataclass(frozen=True)
class Recording:
    """A model as the page runs it on WebGPU.

    Attributes:
        work: What is repeated, for JSON.
        shaders: The WGSL, by file name.
        constants: The tensors that it names.
    """

    work: dict[str, Any]
    shaders: dict[str, str]
    constants: dict[str, Tensor]

    def work_with(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Return the work with the constants called otherwise."""
        constants = {names[name]: number for name, number in self.work["constants"].items()}
        return self.work | {"constants": constants}


@dataclass(slots=True)
class _Operand:
    """A tensor as the kernels take one."""

    buffer: _native.Buffer
    dtype: DType
    shape: Shape
    _strides: Shape | None
    offset: int


def record(graph: Graph) -> Recording:
    """Record the work of a graph with one input and one output.

    Raises:
        WebExportError: There is no WebGPU kernel for an op.
    """
    _native.set_dtypes([(np.dtype(dtype).num, dtype.name) for dtype in ALL])
    table = kernels()

    def knows(op: Op, inputs: tuple[Any, ...], attrs: Mapping[str, Any]) -> bool:
        return op is assign or _kernel_for(table, op, inputs, attrs) is not None

    def reads_gaps(node: Node) -> bool:
        return node.op is assign or table[node.op.name].strided

    lowered = remove_dead_code(lower(remove_dead_code(fuse(graph)), knows))
    for node in lowered.nodes:
        if not node.op.view and not knows(node.op, node.inputs, node.attrs):
            raise WebExportError(f"there is no WebGPU kernel for {node.op.name!r}")
    dense = fold_constants(make_dense(lowered, reads_gaps))
    device = _native.Offline()
    return _Recorder(fuse_chains(dense, device.storage_buffers), table, device).record()


def _kernel_for(
    table: Mapping[str, Kernel], op: Op, inputs: tuple[Any, ...], attrs: Mapping[str, Any]
) -> Kernel | None:
    kernel = table.get(op.name)
    dtypes = {x.dtype for x in inputs if x is not None}
    if "dtype" in attrs:
        dtypes.add(attrs["dtype"])
    return kernel if kernel is not None and dtypes <= kernel.dtypes else None


class _Recorder:
    """Places a graph's values in buffers of the device, and calls the kernels on them."""

    def __init__(self, graph: Graph, table: Mapping[str, Kernel], device: _native.Offline) -> None:
        self._graph = graph
        self._table = table
        self._device = device
        self._slots = dict(plan_memory(graph).slot_of)
        self._free_overwritten()
        folded = Constants(graph)
        folded.refresh()
        self._values = folded.values
        self._sizes = self._sizes_of_places()
        self._buffers: list[_native.Buffer] = []
        self._numbers: dict[object, int] = {}
        self._constants: dict[str, Tensor] = {}
        self._constant_buffers: dict[str, int] = {}

    def record(self) -> Recording:
        """Return the recording."""
        (source,), (result,) = self._graph.inputs, self._graph.outputs
        ends = [self._operand(value) for value in (source, result)]
        # All memory is taken before, so that none of it is what kernels take for themselves.
        calls = [self._call(node) for node in self._graph.nodes if not node.op.view]
        self._device.capture()
        for call in calls:
            call()
        shaders, sizes, steps = self._device.listing(self._buffers)
        files = [_file_name(number, label) for number, (label, *_) in enumerate(shaders)]
        work = {
            "shaders": [
                {"file": file, "sha256": _digest(text), "label": label, "written": written}
                for file, (label, text, written) in zip(files, shaders, strict=True)
            ],
            "buffers": sizes,
            "constants": self._constant_buffers,
            "input": self._part(ends[0], source),
            "output": self._part(ends[1], result),
            "steps": [_step(*step) for step in steps],
        }
        texts = dict(zip(files, (text for _, text, _ in shaders), strict=True))
        return Recording(work, texts, self._constants)

    def _free_overwritten(self) -> None:
        """Give results a place of their own that core's plan writes over an input.

        Core's own kernels may; of this table not all do.
        """
        for node in self._graph.nodes:
            kernel = self._table.get(node.op.name)
            if node.op.view or node.op.donates or kernel is None or kernel.in_place:
                continue
            read = {self._slots.get(value.storage) for value in node.operands} - {None}
            for value in node.outputs:
                if self._slots.get(value.storage) in read:
                    del self._slots[value.storage]

    def _place(self, value: Value) -> object:
        return self._slots.get(value.storage, value.storage)

    def _sizes_of_places(self) -> dict[object, int]:
        """Return how many elements each place has to hold."""
        sizes: dict[object, int] = {}
        ends = (*self._graph.inputs, *self._graph.outputs)
        for value in (*ends, *(v for node in self._graph.nodes for v in node.outputs)):
            place = self._place(value)
            sizes[place] = max(sizes.get(place, 0), value.size)
        return sizes

    def _call(self, node: Node) -> Callable[[], object]:
        if node.op is assign:
            target, value = node.inputs
            assert target is not None
            assert value is not None
            copy = self._table["copy"].function
            return partial(copy, self._box(node, target, value), self._operand(value))
        inputs = [None if value is None else self._operand(value) for value in node.inputs]
        outputs = tuple(map(self._operand, node.outputs))
        out = outputs[0] if len(outputs) == 1 else outputs
        return partial(self._table[node.op.name].function, out, *inputs, **node.attrs)

    def _box(self, node: Node, target: Value, value: Value) -> _Operand:
        """Return the part of a value that an assignment writes."""
        starts, steps = node.attrs["starts"], node.attrs["steps"]
        offset = target.offset
        if value.size:
            offset += sum(a * b for a, b in zip(starts, target.strides, strict=True))
        strides = tuple(a * b for a, b in zip(steps, target.strides, strict=True))
        whole = self._operand(target)
        return _Operand(whole.buffer, value.dtype, value.shape, strides, offset)

    def _operand(self, value: Value) -> _Operand:
        constant = self._constant(value)
        if constant is not None:
            return _Operand(constant, value.dtype, value.shape, dense_strides(value.shape), 0)
        number = self._numbers.get(self._place(value))
        if number is None:
            number = self._allocate(self._sizes[self._place(value)], value.dtype)
            self._numbers[self._place(value)] = number
        buffer = self._buffers[number]
        return _Operand(buffer, value.dtype, value.shape, value.strides, value.offset)

    def _constant(self, value: Value) -> _native.Buffer | None:
        """Return the buffer of what no run changes; None for a value of the run."""
        tensor = constant_tensor(value, self._values)
        if tensor is None:
            return None
        number = self._numbers.get(value)
        if number is None:
            name = unused_name(value.name, self._constants)
            number = self._numbers[value] = self._allocate(value.size, value.dtype)
            self._constants[name] = tensor
            self._constant_buffers[name] = number
        return self._buffers[number]

    def _allocate(self, size: int, dtype: DType) -> int:
        self._buffers.append(self._device.allocate((size,), dtype))
        return len(self._buffers) - 1

    def _part(self, operand: _Operand, value: Value) -> dict[str, int]:
        number = self._numbers[self._place(value)]
        offset = operand.offset * value.dtype.itemsize
        return {"buffer": number, "offset": offset, "size": value.nbytes}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _file_name(number: int, label: str) -> str:
    return f"{number:02}-{re.sub('[^a-z0-9_]+', '-', label)}.wgsl"


def _step(
    shader: int | None, parts: list[tuple[int, int, int]], parameters: bytes, groups: list[int]
) -> dict[str, Any]:
    if shader is None:
        return {"copy": parts}
    text = base64.b64encode(parameters).decode()
    return {"shader": shader, "parts": parts, "parameters": text, "groups": groups}
