"""Every hook is called where it should be, with what it should be, apart from the others."""

from __future__ import annotations

import re
import textwrap
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix import ops
from neurenix.backends import DeviceInfo, Kernel, registry
from neurenix.backends.numpy.backend import NumpyBackend
from neurenix.dtypes import float32
from neurenix.errors import DeviceError, PluginError
from neurenix.ops.op import OPS, composite, primitive
from neurenix.ops.shapes import same
from neurenix.plugins import (
    BackendRecord,
    BackendSpec,
    BackendState,
    Converter,
    PluginManager,
    PluginRecord,
    hookimpl,
    plugin_manager,
)
from neurenix.plugins.hookspecs import specifications
from neurenix.testing import check_gradients

from .conftest import Register

FACTORY = f"{NumpyBackend.__module__}:open_backend"


def npu(name: str = "acme", **fields: Any) -> BackendSpec:
    return BackendSpec(
        **{"name": name, "device_type": "npu", "api": (1, 0), "factory": FACTORY, **fields}
    )


def fail(*arguments: Any) -> Any:
    raise ValueError("out of order")


# neurenix_register_backends ---------------------------------------------------------------------


def test_backends_come_with_their_plugin_and_go_with_it() -> None:
    class Acme:
        @hookimpl
        def neurenix_register_backends(self) -> Iterator[BackendSpec]:
            yield npu()

    plugin = Acme()
    plugin_manager().register(plugin)
    try:
        x = nx.ones(2, device="npu")
        assert registry.record_of(x.device).plugin.module == "Acme"
    finally:
        plugin_manager().unregister(plugin)
    with pytest.raises(DeviceError, match="no backend for the device 'npu'"):
        nx.ones(2, device="npu")
    assert (x + x).tolist() == [2, 2]  # tensors live as long as they are held


def test_a_plugin_that_declares_nonsense_is_blamed_once(register: Register) -> None:
    good = register("good", neurenix_register_backends=lambda: [npu("good")])
    bad = register("bad", neurenix_register_backends=lambda: ["npu"])
    worse = register("worse", neurenix_register_backends=fail)
    with pytest.warns(RuntimeWarning, match="failed: its neurenix_register_backends") as caught:
        assert nx.ones(1, device="npu").tolist() == [1]
    assert len(caught) == 2
    registry.backend_records()  # without a warning
    assert bad.state is BackendState.FAILED
    assert "'npu' is no BackendSpec" in bad.cause
    assert "ValueError: out of order" in worse.cause
    assert "Traceback" in worse.traceback
    assert good.state is BackendState.DECLARED


def test_two_backends_of_one_name(register: Register) -> None:
    register("first", "acme-one", neurenix_register_backends=lambda: [npu(priority=60)])
    register("second", "acme-two", neurenix_register_backends=lambda: [npu(priority=40)])
    assert registry.record_of(nx.ones(1, device="npu").device).distribution == "acme-one"
    with pytest.raises(DeviceError, match="is disabled: acme-one has a backend of the name 'acme'"):
        nx.ones(1, device="npu@acme-two")


def test_nobody_takes_the_name_of_a_backend_of_core(register: Register) -> None:
    register(neurenix_register_backends=lambda: [npu("numpy", priority=900)])
    with pytest.raises(DeviceError, match="core's names are its own"):
        nx.ones(1, device="npu")
    assert nx.ones(1, device="cpu@neurenix-core").tolist() == [1]


def test_two_distributions_for_one_device_type(register: Register) -> None:
    register("b", "acme-b", neurenix_register_backends=lambda: [npu("b")])
    register("a", "acme-a", neurenix_register_backends=lambda: [npu("a")])
    plain = nx.Device("npu")
    with pytest.warns(RuntimeWarning, match=r"npu is served by acme-a; of the same priority 50.*b"):
        registry.resolve(plain)
    assert registry.record_of(plain).distribution == "acme-a"
    assert registry.resolve("npu@acme-a") is plain
    other = registry.resolve("npu@Acme_B")  # names of distributions are compared in normal form
    assert str(other) == "npu@acme-b"
    with pytest.raises(DeviceError, match="got tensors on npu and on npu@acme-b"):
        nx.ones(1, device=plain) + nx.ones(1, device=other)


# neurenix_select_device -------------------------------------------------------------------------


@pytest.fixture
def undecided(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the default device chosen anew, now and after the test."""
    monkeypatch.delenv("NEURENIX_DEVICE", raising=False)
    registry.default_device.cache_clear()
    yield
    registry.default_device.cache_clear()


def test_a_plugin_selects_the_default_device(register: Register, undecided: None) -> None:
    seen: list[DeviceInfo] = []

    def select(available: list[DeviceInfo]) -> str:
        seen.extend(available)
        return available[-1].name

    register(neurenix_register_backends=lambda: [npu()], neurenix_select_device=select)
    assert str(nx.default_device()) == "cpu"
    assert [info.name for info in seen] == ["npu", "cpu"]


def test_the_first_answer_counts_and_bad_ones_do_not(register: Register, undecided: None) -> None:
    calls: list[str] = []

    def answer(name: str, device: str | None) -> Any:
        def select() -> str | None:
            calls.append(name)
            return device

        return select

    register("never", neurenix_select_device=answer("never", "cpu"))
    register("right", neurenix_select_device=answer("right", "npu"))
    register("wrong", neurenix_select_device=answer("wrong", "tpu"))
    register("none", neurenix_select_device=answer("none", None))
    register(neurenix_register_backends=lambda: [npu(experimental=True)])
    with pytest.warns(RuntimeWarning, match=r"wrong \(wrong\) failed: its neurenix_select_device"):
        assert str(nx.default_device()) == "npu"
    assert calls == ["none", "wrong", "right"]


def test_nobody_is_asked_where_the_device_is_named(
    register: Register, undecided: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEURENIX_DEVICE", "cpu")
    register(neurenix_select_device=fail)
    assert str(nx.default_device()) == "cpu"


# neurenix_backend_opened, neurenix_backend_failed -----------------------------------------------


def test_plugins_learn_of_backends_that_open_and_fail(register: Register) -> None:
    told: list[tuple[str, str]] = []

    def tell(record: BackendRecord) -> None:
        told.append((record.spec.name, record.state.value))

    register("early", neurenix_backend_opened=tell, neurenix_backend_failed=tell)
    told.clear()  # of what was open already
    good = npu("good")
    bad = npu("bad", device_type="bad", factory="neurenix_no_such_module:open")
    old = npu("old", device_type="old", api=(0, 9))
    register("three", neurenix_register_backends=lambda: [good, bad, old])
    nx.ones(1, device="npu")
    for name in ("bad", "old", "bad"):
        with pytest.raises(DeviceError):
            nx.ones(1, device=name)
    assert told == [("good", "open"), ("bad", "failed"), ("old", "incompatible")]
    late: list[str] = []
    register("late", neurenix_backend_opened=lambda record: late.append(record.spec.name))
    assert late[-1] == "good"


def test_a_listener_that_fails_harms_nobody(register: Register) -> None:
    heard: list[str] = []
    register("hears", neurenix_backend_opened=lambda record: heard.append(record.spec.name))
    with pytest.warns(RuntimeWarning, match=r"the plugin deaf .* its neurenix_backend_opened"):
        register("deaf", neurenix_backend_opened=fail)
    register(neurenix_register_backends=lambda: [npu()])
    assert nx.ones(1, device="npu").tolist() == [1]
    assert heard[-1] == "acme"


# neurenix_register_kernels ----------------------------------------------------------------------


def double_relu(out: nx.Tensor, x: nx.Tensor) -> None:
    np.maximum(2 * x.buffer, 0, out=out.buffer)


def test_a_kernel_for_anothers_device_serves_the_dtypes_it_declares(register: Register) -> None:
    asked: list[tuple[str, str]] = []

    def kernels(device_type: str, backend: str) -> dict[str, Kernel]:
        asked.append((device_type, backend))
        return {"relu": Kernel(double_relu, frozenset([float32]))}

    x = nx.Tensor([-1.0, 1.0])
    assert nx.relu(x).tolist() == [0, 1]
    register(neurenix_register_kernels=kernels)  # devices that are open get new tables
    assert nx.relu(x).tolist() == [0, 2]
    assert nx.relu(x.double()).tolist() == [0, 1]  # the device's own kernel
    assert ("cpu", "numpy") in asked


def test_the_kernels_go_with_the_plugin() -> None:
    class Acme:
        @hookimpl
        def neurenix_register_kernels(self) -> dict[str, Kernel]:
            return {"relu": Kernel(double_relu)}

    plugin = Acme()
    plugin_manager().register(plugin)
    assert nx.relu(nx.ones(1)).item() == 2
    plugin_manager().unregister(plugin)
    assert nx.relu(nx.ones(1)).item() == 1


def test_of_two_plugins_the_last_to_come_is_preferred(register: Register) -> None:
    def triple(out: nx.Tensor, x: nx.Tensor) -> None:
        np.multiply(x.buffer, 3, out=out.buffer)

    register("two", neurenix_register_kernels=lambda: {"relu": Kernel(double_relu)})
    register("three", neurenix_register_kernels=lambda: {"relu": Kernel(triple)})
    assert nx.relu(nx.ones(1)).item() == 3


@pytest.mark.parametrize("given", [["relu"], {"relu": double_relu}, {1: Kernel(double_relu)}, 5])
def test_what_is_no_kernel_is_left_out(register: Register, given: Any) -> None:
    with pytest.warns(RuntimeWarning, match="its neurenix_register_kernels raised"):
        record = register(neurenix_register_kernels=lambda: given)
    assert record.state is BackendState.FAILED
    assert nx.relu(nx.ones(1)).item() == 1


# neurenix_register_ops --------------------------------------------------------------------------


@pytest.fixture
def forget_ops() -> Iterator[None]:
    known = dict(OPS)
    yield
    OPS.clear()
    OPS.update(known)


def test_a_plugin_gives_an_op_with_rules_of_its_own(register: Register, forget_ops: None) -> None:
    swish = composite("acme_swish", meta=same)
    swish.decompose(lambda x: x * ops.sigmoid(x))

    @swish.vjp("x")
    def _(grad: nx.Tensor, x: nx.Tensor, out: nx.Tensor) -> nx.Tensor:
        return grad * (out + ops.sigmoid(x) * (1.0 - out))

    with pytest.raises(PluginError, match="no plugin gives an op 'acme_swish'; there are none"):
        ops.custom("acme_swish")
    register(neurenix_register_ops=lambda: [swish])
    function = ops.custom("acme_swish")
    point = np.random.default_rng(0).standard_normal(5)
    np.testing.assert_allclose(function(nx.Tensor(point)).numpy(), point / (1 + np.exp(-point)))
    check_gradients(function, [point])
    x = nx.Tensor(point, requires_grad=True)
    assert repr(function(x)._node) == "<acme_swish backward>"
    with pytest.raises(
        PluginError, match="no plugin gives an op 'acme_swsh'; there are acme_swish"
    ):
        ops.custom("acme_swsh")


def test_a_plugins_op_runs_on_the_kernel_another_gives(
    register: Register, forget_ops: None
) -> None:
    cube = primitive("acme_cube", meta=same)
    register("op", neurenix_register_ops=lambda: [cube])
    with pytest.raises(DeviceError, match="has no kernel on cpu, none on the host and no decomp"):
        ops.custom("acme_cube")(nx.ones(1))

    def kernel(out: nx.Tensor, x: nx.Tensor) -> None:
        np.power(x.buffer, 3, out=out.buffer)

    register("kernel", neurenix_register_kernels=lambda: {"acme_cube": Kernel(kernel)})
    assert ops.custom("acme_cube")(nx.full(1, 2.0)).item() == 8


def test_what_is_no_op_is_left_out(register: Register) -> None:
    register("good", neurenix_register_ops=lambda: None)
    bad = register("bad", neurenix_register_ops=lambda: [ops.sigmoid, len])
    with (
        pytest.warns(RuntimeWarning, match="its neurenix_register_ops raised"),
        pytest.raises(PluginError, match="no plugin gives an op 'acme_swish'"),
    ):
        ops.custom("acme_swish")
    assert "is no Op" in bad.cause


# neurenix_register_converters -------------------------------------------------------------------


class Frame:
    """A foreign type, which NumPy cannot read."""

    def __init__(self, *values: float) -> None:
        self.values = values


class SpecialFrame(Frame):
    pass


NAME = f"{Frame.__module__}.Frame"


def test_tensors_are_made_of_foreign_types(register: Register) -> None:
    with pytest.raises(TypeError):
        nx.Tensor(Frame(1, 2))
    register(neurenix_register_converters=lambda: [Converter(NAME, lambda f: list(f.values))])
    assert nx.Tensor(Frame(1.0, 2.0)).dtype == nx.float32
    assert nx.Tensor(SpecialFrame(1, 2), dtype=nx.float64).tolist() == [1, 2]
    special = Converter(f"{NAME[:-5]}SpecialFrame", lambda f: np.array([0], np.int8))
    register("more", neurenix_register_converters=lambda: [special])
    assert nx.Tensor(SpecialFrame(1, 2)).dtype == nx.int8
    assert nx.Tensor(Frame(3)).tolist() == [3]


def test_a_converter_that_fails_is_named(register: Register) -> None:
    register(neurenix_register_converters=lambda: [Converter(NAME, fail)])
    with pytest.raises(PluginError, match=r"acme \(acme\) for .*Frame raised ValueError: out of"):
        nx.Tensor(Frame(1))
    register("text", neurenix_register_converters=lambda: [Converter(NAME, lambda f: "1, 2")])
    with pytest.raises(PluginError, match="gave a str; expected a NumPy array or nested lists"):
        nx.Tensor(Frame(1))


# What a plugin may not do -----------------------------------------------------------------------


def test_unknown_hooks_are_refused(register: Register) -> None:
    with pytest.raises(
        PluginError, match=r"implements the hook 'neurenix_register_backend', which"
    ):
        register(neurenix_register_backend=lambda: None)
    with pytest.raises(PluginError, match=r"Argument.*colour"):
        register(neurenix_backend_failed=lambda colour: None)
    assert not [label for label in plugin_manager().records if "acme" in label]

    class Newer:
        @hookimpl(optionalhook=True)
        def neurenix_hook_of_the_future(self) -> None:
            raise AssertionError("nobody calls it")

    manager = PluginManager()
    manager.register(Newer())


def test_hook_wrappers_are_refused() -> None:
    class Wrapper:
        @hookimpl(wrapper=True)
        def neurenix_register_kernels(self) -> Any:
            return (yield)

    with pytest.raises(PluginError, match="wraps the hook"):
        PluginManager().register(Wrapper())


def test_a_plugin_is_registered_once() -> None:
    manager, plugin = PluginManager(), object()
    manager.register(plugin)
    with pytest.raises(PluginError, match="is registered already"):
        manager.register(plugin, "again")


# Their documentation ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [n for spec in specifications() for n in vars(spec) if n.startswith("neurenix_")]
)
def test_the_example_of_each_hook_is_a_plugin(name: str, forget_ops: None) -> None:
    documentation = next(vars(s)[name].__doc__ for s in specifications() if name in vars(s))
    (code,) = re.findall(r"```python\n(.*?)```", textwrap.dedent(documentation), re.DOTALL)
    plugin = types.ModuleType("example")
    exec(textwrap.dedent(code), vars(plugin))
    manager = PluginManager()
    record = PluginRecord("example", "example", "example")
    manager.add(plugin, record)
    assert record.hooks == (name,)
    backend = registry.record_of(registry.host_device())
    arguments = {
        "available": [DeviceInfo(0, "small", 1, name="a"), DeviceInfo(0, "large", 2, name="b")],
        "record": backend,
        "device_type": "cpu",
        "backend": "numpy",
    }
    results = [result for _, result in manager.each(name, arguments, read_example)]
    assert record.state is BackendState.DECLARED, record.cause
    assert "backend_" in name or results


def read_example(result: Any) -> Any:
    return list(result) if isinstance(result, Iterator) else result
