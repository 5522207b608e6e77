"""Devices, their names, and backends that come, fail or are missing."""

from __future__ import annotations

import copy
import sys
import types
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import neurenix as nx
from neurenix.backends import registry
from neurenix.backends.numpy.backend import NumpyBackend
from neurenix.errors import DeviceError
from neurenix.ops import dispatch
from neurenix.plugins import BackendSpec, BackendState, hookimpl, plugin_manager


class FarBackend(NumpyBackend):
    """NumPy's kernels for add and copy alone, on memory of its own."""

    def kernels(self) -> dict[str, object]:
        return {name: super(FarBackend, self).kernels()[name] for name in ("add", "copy", "fill")}


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., types.ModuleType]]:
    """Give a function that installs a plugin for a spec, and takes all of them away at the end."""
    nx.default_device()  # chosen before the plugins come, as in a process without them
    manager = plugin_manager()
    installed: list[types.ModuleType] = []
    interned = dict(nx.Device._interned)

    def install(
        device_type: str, factory: Callable[[], object], **options: object
    ) -> types.ModuleType:
        module = types.ModuleType(f"plugin_{device_type}_{len(installed)}")
        module.factory = factory
        module.probe = options.pop("probe_function", None)
        settings = {"api": (1, 0), "priority": 50, **options}
        if module.probe is not None:
            settings["probe"] = f"{module.__name__}:probe"
        spec = BackendSpec(
            name=module.__name__,
            device_type=device_type,
            factory=f"{module.__name__}:factory",
            **settings,
        )
        module.neurenix_register_backends = hookimpl(lambda: [spec])
        module.neurenix_register_backends.__name__ = "neurenix_register_backends"
        monkeypatch.setitem(sys.modules, module.__name__, module)
        manager.register(module)
        installed.append(module)
        return module

    yield install
    for module in installed:
        manager.unregister(module)
    nx.Device._interned.clear()
    nx.Device._interned.update(interned)
    registry.backend_records()


def record_of(module: types.ModuleType) -> registry.BackendRecord:
    return next(r for r in registry.backend_records() if r.spec.name == module.__name__)


def test_names_of_devices() -> None:
    assert nx.Device("cpu") is nx.Device(nx.DeviceType.CPU)
    assert nx.Device("npu:2").index == 2
    assert nx.Device("npu", 2) is nx.Device("npu:2")
    assert nx.Device("npu:1@acme").distribution == "acme"
    assert str(nx.Device("npu:1@acme")) == "npu:1@acme"
    assert nx.Device("npu").type == nx.DeviceType("npu")
    assert repr(nx.DeviceType.WEBGPU) == "DeviceType('webgpu')"
    device = nx.Device("cpu")
    assert copy.deepcopy(device) is device
    assert nx.Device(device) is device
    for bad in ("", "CPU", "cpu:", "cpu:-1", "cpu:x"):
        with pytest.raises(DeviceError, match="is not the name of a device"):
            nx.Device(bad)
    with pytest.raises(DeviceError, match="names index 1, but index=2"):
        nx.Device("npu:1", 2)


def test_numpy_is_there_through_the_hook_of_any_backend() -> None:
    record = next(r for r in registry.backend_records() if r.spec.name == "numpy")
    assert (record.spec.device_type, record.spec.priority) == ("cpu", 0)
    assert record.spec.distribution == "neurenix-core"
    assert nx.zeros(1, device="cpu@neurenix-core").device is registry.host_device()
    assert nx.get_available_devices()[-1] == nx.Device("cpu")


def test_a_device_that_does_not_exist_is_named() -> None:
    with pytest.raises(DeviceError, match=r"no backend for the device 'npu'.*pip install"):
        nx.zeros(1, device="npu")
    with pytest.raises(DeviceError, match="has index 3, but there are 1 devices"):
        nx.zeros(1, device="cpu:3")


def test_a_third_party_backend_runs_beside_numpy(plug: Callable[..., types.ModuleType]) -> None:
    plug("far", FarBackend)
    x = nx.Tensor([1.0, 2.0], device="far")
    assert x.device == nx.Device("far")
    assert (x + x).tolist() == [2, 4]
    assert (x + 1).tolist() == [2, 3]
    assert nx.Device("far") in nx.get_available_devices()
    with pytest.raises(DeviceError, match="got tensors on far and on cpu; move them"):
        x + nx.ones(2)
    assert x.cpu().device == nx.Device("cpu")


def test_moving_between_devices_is_differentiable(plug: Callable[..., types.ModuleType]) -> None:
    plug("far", FarBackend)
    x = nx.Tensor([1.0, 2.0], requires_grad=True)
    far = x.to("far")
    (far + far).to("cpu").sum().backward()
    assert x.grad.tolist() == [2, 2]
    assert x.grad.device == x.device


def test_an_op_without_a_kernel_falls_back_to_the_host(
    plug: Callable[..., types.ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    plug("far", FarBackend)
    dispatch._warned.clear()
    x = nx.Tensor([4.0, 9.0], device="far")
    with pytest.warns(RuntimeWarning, match=r"'sqrt' of \(float32\) has no kernel on far"):
        assert x.sqrt().tolist() == [2, 3]
    assert x.sqrt().device == x.device  # no second warning
    monkeypatch.setenv("NEURENIX_HOST_FALLBACK", "silent")
    assert x.exp().device == x.device
    monkeypatch.setenv("NEURENIX_HOST_FALLBACK", "error")
    with pytest.raises(DeviceError, match=r"'log'.*NEURENIX_HOST_FALLBACK=error"):
        x.log()


def test_a_probe_that_says_no_is_reported_with_the_install_hint(
    plug: Callable[..., types.ModuleType],
) -> None:
    module = plug(
        "far",
        FarBackend,
        probe_function=lambda: "no driver was found",
        install_hint="apt install far-driver",
    )
    with pytest.raises(DeviceError, match=r"unavailable: no driver was found\. To install: apt"):
        nx.zeros(1, device="far")
    assert record_of(module).state is BackendState.UNAVAILABLE
    assert nx.Device("far") not in nx.get_available_devices()


class Panic(BaseException):
    """What a crash in native code may surface as."""


def panic() -> None:
    raise Panic("index out of bounds")


def leave() -> None:
    raise SystemExit(1)


@pytest.mark.parametrize("factory", [panic, leave, lambda: object()])
def test_a_backend_that_fails_to_open_breaks_nothing_else(
    plug: Callable[..., types.ModuleType], factory: Callable[[], object]
) -> None:
    module = plug("far", factory)
    with pytest.raises(DeviceError, match="is failed: opening it raised"):
        nx.zeros(1, device="far")
    assert "Traceback" in record_of(module).traceback
    assert nx.ones(2).sum().item() == 2


@pytest.mark.parametrize("api", [(2, 0), (1, 99), (0, 1)])
def test_another_api_version_is_incompatible(
    plug: Callable[..., types.ModuleType], api: tuple[int, int]
) -> None:
    module = plug("far", FarBackend, api=api)
    with pytest.raises(DeviceError, match=f"needs API {api[0]}.{api[1]}, this core has 1.0"):
        nx.zeros(1, device="far")
    assert record_of(module).state is BackendState.INCOMPATIBLE


def test_the_next_backend_serves_where_the_preferred_fails(
    plug: Callable[..., types.ModuleType],
) -> None:
    plug("far", panic, priority=90)
    plug("far", FarBackend, priority=10)
    with pytest.warns(RuntimeWarning, match=r"far is served by plugin_far_1.*Panic: index out of"):
        assert nx.zeros(1, device="far").tolist() == [0]
    assert nx.zeros(2, device="far").tolist() == [0, 0]  # said once
    with pytest.raises(DeviceError, match=r"'plugin_far_0' .* is failed: .*Panic: index out of"):
        nx.zeros(1, device="far@plugin-far-0")


def test_keyboard_interrupt_is_not_swallowed(plug: Callable[..., types.ModuleType]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    plug("far", interrupt)
    with pytest.raises(KeyboardInterrupt):
        nx.zeros(1, device="far")


def test_software_and_experimental_devices_are_not_listed(
    plug: Callable[..., types.ModuleType],
) -> None:
    class Software(FarBackend):
        def devices(self) -> list[nx.backends.DeviceInfo]:
            return [nx.backends.DeviceInfo(0, "emulated", software=True)]

    plug("soft", Software)
    plug("lab", FarBackend, experimental=True)
    names = [str(device) for device in nx.get_available_devices()]
    assert "soft" not in names
    assert "lab" not in names
    assert nx.zeros(1, device="soft").tolist() == [0]
    assert nx.zeros(1, device="lab").tolist() == [0]


def test_opened_backends_are_announced_also_to_later_plugins(
    plug: Callable[..., types.ModuleType],
) -> None:
    plug("far", FarBackend)
    nx.zeros(1, device="far")
    seen: list[str] = []

    class Listener:
        @hookimpl
        def neurenix_backend_opened(self, record: registry.BackendRecord) -> None:
            seen.append(record.spec.device_type)

    listener = Listener()
    plugin_manager().register(listener)
    try:
        assert "far" in seen
    finally:
        plugin_manager().unregister(listener)


def test_a_plugin_adds_a_kernel_to_anothers_device(
    plug: Callable[..., types.ModuleType],
) -> None:
    from neurenix.backends import Kernel

    module = plug("far", FarBackend)
    calls: list[str] = []

    def fast_add(out: nx.Tensor, x: nx.Tensor, y: nx.Tensor) -> None:
        calls.append("fast_add")
        np.add(x.buffer, y.buffer, out=out.buffer)

    class Extra:
        @hookimpl
        def neurenix_register_kernels(self, device_type: str) -> dict[str, Kernel]:
            return {"add": Kernel(fast_add)} if device_type == "far" else {}

    extra = Extra()
    plugin_manager().register(extra)
    try:
        x = nx.ones(2, device="far")
        assert (x + x).tolist() == [2, 2]
        assert calls == ["fast_add"]
        assert module is not None
    finally:
        plugin_manager().unregister(extra)


def test_a_kernel_for_dense_tensors_is_never_given_a_strided_one_to_write(
    plug: Callable[..., types.ModuleType],
) -> None:
    from neurenix.backends import Kernel

    seen: list[bool] = []

    class DensePut(NumpyBackend):
        def kernels(self) -> dict[str, Kernel]:
            own = dict(super().kernels())

            def put(out: nx.Tensor, *inputs: nx.Tensor) -> None:
                seen.append(out.is_contiguous() and inputs[0].is_contiguous())
                own["put"].function(out, *inputs)

            return own | {"put": Kernel(put)}

    plug("far", DensePut)
    x = nx.zeros((3, 4), device="far")
    x.T[nx.Tensor([1, 3], device="far")] = 5
    assert seen == [True]
    assert x.tolist() == [[0, 5, 0, 5]] * 3


class LendingBackend(NumpyBackend):
    """NumPy's memory as a device of DLPack's own kind."""

    def dlpack_device(self, index: int) -> tuple[int, int]:
        return 77, index

    def to_dlpack(self, tensor: nx.Tensor, **options: object) -> object:
        return tensor.buffer

    def from_dlpack(self, source: nx.Tensor, index: int) -> tuple[object, ...]:
        return source.__dlpack__(), source.dtype, source.shape, None


def test_memory_elsewhere_is_lent_and_borrowed(plug: Callable[..., types.ModuleType]) -> None:
    plug("lends", LendingBackend)
    plug("keeps", NumpyBackend)
    x = nx.ones((3,), device="lends")
    assert x.__dlpack_device__() == (77, 0)
    assert x.__dlpack__() is x.buffer
    borrowed = nx.from_dlpack(x)
    assert borrowed.device is x.device
    assert borrowed.buffer is x.buffer
    assert nx.from_dlpack(x, device="lends").buffer is x.buffer
    with pytest.raises(DeviceError, match=r"keeps has not the memory of DLPack's device \(77, 0\)"):
        nx.from_dlpack(x, device="keeps")
    moved = nx.from_dlpack(np.ones(3, np.float32), device="lends")
    assert str(moved.device) == "lends"
    assert moved.tolist() == [1.0, 1.0, 1.0]


def test_memory_that_no_open_device_has(plug: Callable[..., types.ModuleType]) -> None:
    plug("lends", LendingBackend)
    x = nx.ones((3,), device="lends")

    class Elsewhere:
        def __dlpack_device__(self) -> tuple[int, int]:
            return 77, 1

    assert x.device.index == 0
    with pytest.raises(DeviceError, match=r"no open device has .* \(77, 1\); name the device"):
        nx.from_dlpack(Elsewhere())
