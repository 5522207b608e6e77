"""The hooks a plugin may implement. All are off the hot path: no op of a model calls one.

A plugin is a module, or an object, with functions of these names, marked with `hookimpl` and
taking those of the arguments that they use. Each implementation is called apart from the others:
what it raises is reported, and is nobody else's trouble.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from neurenix.plugins.records import BackendRecord
from neurenix.plugins.spec import BackendSpec, Converter

if TYPE_CHECKING:
    from neurenix.backends.protocol import DeviceInfo, Kernel
    from neurenix.ops.op import Op

PROJECT = "neurenix"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks the implementation of a hook: ``@hookimpl``."""


class DeviceHooks:
    """Hooks about devices and the backends behind them."""

    @hookspec
    def neurenix_register_backends(self) -> Iterable[BackendSpec] | None:
        """Declare backends.

        Called once, at the first question about devices. Nothing native may be imported yet: what
        probes and opens the backend is named by strings.

        Returns:
            The declarations.

        Example:
            ```python
            from neurenix.plugins import BackendSpec, hookimpl

            @hookimpl
            def neurenix_register_backends():
                yield BackendSpec(
                    name="acme",
                    device_type="npu",
                    api=(1, 0),
                    probe="neurenix_backend_acme.probe:probe",
                    factory="neurenix_backend_acme.backend:open_backend",
                    install_hint="the driver from acme.example",
                )
            ```
        """

    @hookspec(firstresult=True)
    def neurenix_select_device(self, available: Sequence[DeviceInfo]) -> str | None:
        """Choose the default device.

        Called once, and only where neither the program nor ``NEURENIX_DEVICE`` names a device. The
        first answer of a plugin that names a device which can be opened is taken.

        Args:
            available: What there is, best first; ``name`` is what a device is called.

        Returns:
            The name of a device, or None to leave the choice to others.

        Example:
            ```python
            from neurenix.plugins import hookimpl

            @hookimpl
            def neurenix_select_device(available):
                known = [info for info in available if info.memory_bytes is not None]
                if known:
                    return max(known, key=lambda info: info.memory_bytes).name
            ```
        """

    @hookspec(historic=True)
    def neurenix_backend_opened(self, record: BackendRecord) -> None:
        """Learn that a backend was opened.

        A plugin that comes later is told of those that were opened before it came.

        Args:
            record: The backend, with its devices and kernels.

        Example:
            ```python
            import logging

            from neurenix.plugins import hookimpl

            @hookimpl
            def neurenix_backend_opened(record):
                logging.info("%s serves %s", record.spec.name, record.spec.device_type)
            ```
        """

    @hookspec
    def neurenix_backend_failed(self, record: BackendRecord) -> None:
        """Learn that a backend is incompatible, unavailable or failed.

        Called once for a backend, when that is found out.

        Args:
            record: The backend, with the state, the cause and the traceback.

        Example:
            ```python
            import logging

            from neurenix.plugins import hookimpl

            @hookimpl
            def neurenix_backend_failed(record):
                logging.warning("%s: %s", record.spec.name, record.cause)
            ```
        """


class TensorHooks:
    """Hooks about ops, kernels and tensors."""

    @hookspec
    def neurenix_register_ops(self) -> Iterable[Op] | None:
        """Give ops of one's own, with their shape and gradient rules.

        Called when `neurenix.ops.custom` is first asked for an op. An op with a decomposition
        runs on every device; kernels for it come from ``neurenix_register_kernels``. Start its
        name with your own, so that no op of a later core has it.

        Returns:
            The ops.

        Example:
            ```python
            from neurenix.ops import sigmoid
            from neurenix.ops.op import composite
            from neurenix.ops.shapes import same
            from neurenix.plugins import hookimpl

            swish = composite("acme_swish", meta=same)
            swish.decompose(lambda x: x * sigmoid(x))

            @hookimpl
            def neurenix_register_ops():
                yield swish
            ```
        """

    @hookspec
    def neurenix_register_kernels(
        self, device_type: str, backend: str
    ) -> Mapping[str, Kernel] | None:
        """Give kernels for a device, also another's, by the names of the ops.

        Called when a device is first used, and again when plugins come or go. A kernel given here
        is preferred to the backend's own for the dtypes that it declares; of several plugins, the
        last to come is asked first.

        Args:
            device_type: The type of the device, such as ``"cuda"``.
            backend: The name of the backend that serves it, such as ``"numpy"``: the buffers that
                a kernel is given are of that backend's kind.

        Returns:
            The kernels; None or an empty mapping for a device that is of no concern.

        Example:
            ```python
            import numpy as np

            from neurenix.backends import Kernel
            from neurenix.backends.numpy.table import view
            from neurenix.dtypes import float32
            from neurenix.plugins import hookimpl

            def relu(out, x):
                np.maximum(view(x), 0, out=view(out))

            @hookimpl
            def neurenix_register_kernels(backend):
                if backend == "numpy":
                    return {"relu": Kernel(relu, frozenset([float32]), strided=True)}
            ```
        """

    @hookspec
    def neurenix_register_converters(self) -> Iterable[Converter] | None:
        """Say how ``Tensor(data)`` reads data of foreign types.

        Called when a tensor is first made of something that is neither a tensor, a NumPy array, a
        list nor a number.

        Returns:
            The converters. Of two for one type, that of the last plugin to come is taken.

        Example:
            ```python
            from neurenix.plugins import Converter, hookimpl

            @hookimpl
            def neurenix_register_converters():
                yield Converter("acme.frames.Frame", lambda frame: frame.to_numpy())
            ```
        """


def specifications() -> list[type[Any]]:
    """Return the classes that hold the hook specifications."""
    return [DeviceHooks, TensorHooks]
