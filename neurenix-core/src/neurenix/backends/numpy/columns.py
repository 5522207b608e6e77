"""Columns of a convolution's input: the matrix that, times the weights, is the convolution.

The textbook im2col copies one short row of pixels at a time. Here a sample is first laid into
zero-padded *planes*, one for each phase of the stride, and output rows are computed at the
planes' row pitch, a little wider than the output. Then the column of each kernel tap is one
contiguous run of its plane, whatever stride, padding and dilation are, so building the matrix
costs long ``memcpy`` runs only. The few surplus results at the row ends are dropped when the
output is written.

Reference:
    K. Chellapilla, S. Puri, P. Simard, "High Performance Convolutional Neural Networks for
    Document Processing", IWFHR 2006 (im2col).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from neurenix.backends.numpy.table import Array

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


def window_count(size: int, kernel: int, stride: int, padding: Pair, dilation: int) -> int:
    """Number of positions of a dilated window along a padded axis."""
    return (size + padding[0] + padding[1] - dilation * (kernel - 1) - 1) // stride + 1


@dataclass(frozen=True, slots=True)
class Phase:
    """The part of the padded input whose row and column have one remainder modulo the stride."""

    target: tuple[slice, slice]
    """Where the phase's pixels lie in its plane; the rest of the plane stays zero."""
    source: tuple[slice, slice]
    """The pixels of the input that belong to it."""


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """How one convolution shape maps an input sample to columns."""

    out_size: Pair
    pitch: int
    """Elements from one output row to the next, at least the output's width."""
    run: int
    """Length of a column: all output rows at the row pitch."""
    plane_rows: int
    plane_size: int
    """Elements of one plane of one channel, the zeros behind it included."""
    phases: tuple[Phase, ...]
    taps: tuple[Pair, ...]
    """For each kernel element, in row-major order: the index of its phase, and where in the
    plane its run starts."""
    is_input: bool
    """Whether the only plane is the input itself, so that nothing needs copying."""
    covers_input: bool
    """Whether every pixel of the input lies in some plane (a stride can step over pixels)."""

    def fill_planes(self, planes: Array, x: Array) -> None:
        """Lay ``x`` (N, C, H, W) into ``planes`` (phases, N, C, plane_size), zero elsewhere."""
        for plane, phase in zip(self._images(planes), self.phases, strict=True):
            plane[..., *phase.target] = x[..., *phase.source]

    def read_planes(self, x: Array, planes: Array) -> None:
        """Inverse of ``fill_planes``; pixels that no plane holds become 0."""
        if not self.covers_input:
            x[...] = 0
        for plane, phase in zip(self._images(planes), self.phases, strict=True):
            x[..., *phase.source] = plane[..., *phase.target]

    def _images(self, planes: Array) -> Array:
        rows = self.plane_rows * self.pitch
        return planes[..., :rows].reshape(*planes.shape[:-1], self.plane_rows, self.pitch)

    def fill_columns(self, columns: Array, planes: Array) -> None:
        """Copy the run of every tap into ``columns`` (N, C, taps, run)."""
        run = self.run
        for tap, (phase, start) in enumerate(self.taps):
            columns[:, :, tap] = planes[phase, ..., start : start + run]

    def add_columns(self, planes: Array, columns: Array) -> None:
        """Adjoint of ``fill_columns``: add the run of every tap to its plane."""
        run = self.run
        for tap, (phase, start) in enumerate(self.taps):
            plane = planes[phase, ..., start : start + run]
            np.add(plane, columns[:, :, tap], out=plane)

    def image(self, wide: Array) -> Array:
        """View of the outputs in ``wide`` (..., rows * pitch): (..., out height, out width)."""
        height, width = self.out_size
        return wide.reshape(*wide.shape[:-1], height, self.pitch)[..., :width]


def _axis_phase(
    size: int, before: int, stride: int, remainder: int, length: int
) -> tuple[slice, slice]:
    """Slices of plane and input for the padded positions ``j * stride + remainder``."""
    first = max(0, -((remainder - before) // stride))
    last = max(first, min(length, -((remainder - before - size) // stride)))
    start = first * stride + remainder - before
    stop = start + (last - first - 1) * stride + 1 if last > first else start
    return slice(first, last), slice(start, stop, stride)


@lru_cache(maxsize=512)
def column_layout(
    size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> ColumnLayout:
    """Work out the layout of a convolution from its shape alone (never from the batch)."""
    out_h, out_w = (
        window_count(size[i], kernel[i], stride[i], padding[i], dilation[i]) for i in (0, 1)
    )
    # What the windows reach of the padded input; the rest of it is never read.
    reach_h, reach_w = (
        (out - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1
        for i, out in enumerate((out_h, out_w))
    )
    rows = -(-reach_h // stride[0])
    left = padding[1][0]
    if stride[1] == 1:
        # A row may end early: the zeros at the start of the next one are its right padding too.
        pitch = max(reach_w - left, min(left + size[1], reach_w), out_w)
    else:
        pitch = -(-reach_w // stride[1])
    run = out_h * pitch

    remainders: dict[Pair, int] = {}
    taps: list[Pair] = []
    for tap_h in range(kernel[0]):
        for tap_w in range(kernel[1]):
            (down, rest_h), (right, rest_w) = (
                divmod(tap_h * dilation[0], stride[0]),
                divmod(tap_w * dilation[1], stride[1]),
            )
            phase = remainders.setdefault((rest_h, rest_w), len(remainders))
            taps.append((phase, down * pitch + right))
    phases = []
    for rest_h, rest_w in remainders:
        target_h, source_h = _axis_phase(size[0], padding[0][0], stride[0], rest_h, rows)
        target_w, source_w = _axis_phase(size[1], left, stride[1], rest_w, pitch)
        phases.append(Phase((target_h, target_w), (source_h, source_w)))
    plane_size = max(rows * pitch, *(start + run for _, start in taps))
    is_input = stride == (1, 1) and padding == ((0, 0), (0, 0)) and plane_size == size[0] * size[1]
    held = sum(_length(p.target[0]) * _length(p.target[1]) for p in phases)
    return ColumnLayout(
        (out_h, out_w),
        pitch,
        run,
        rows,
        plane_size,
        tuple(phases),
        tuple(taps),
        is_input,
        held == size[0] * size[1],
    )


def _length(part: slice) -> int:
    return int(part.stop) - int(part.start)
