"""Training by plans: the same as step by step, and said where it is not by plans.

On NumPy, whichever engine is installed: only there a plan is the very kernels of the eager steps,
so that the comparison can be bit by bit. Engines compare theirs in tests of their own.
"""

from __future__ import annotations

import copy
import gc
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.backends.registry import default_device, host_device
from neurenix.graph import Graph, Plan, compiled_function
from neurenix.graph.arena import Arena
from neurenix.optim import SGD, AdamW, OneCycleLR
from neurenix.transfer import (
    L2SP,
    Callback,
    TransferModel,
    adapt,
    fine_tune,
    unfreeze_layers,
)

EAGERLY = "Training steps run one op at a time, "


@pytest.fixture(autouse=True)
def on_numpy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put whatever a test makes on NumPy's device."""
    monkeypatch.setenv("NEURENIX_DEVICE", str(host_device()))
    default_device.cache_clear()
    assert neurenix.ones((1,)).device is host_device()
    yield
    monkeypatch.undo()
    default_device.cache_clear()


@dataclass
class Counts:
    """How often steps were traced, and what the traces recorded."""

    names: list[list[str]] = field(default_factory=list)


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Count the traces of steps."""
    counts = Counts()
    trace = compiled_function.trace_step

    def counting(*given: Any) -> Any:
        call = trace(*given)
        counts.names.append([node.op.name for node in call.graph.nodes])
        return call

    monkeypatch.setattr(compiled_function, "trace_step", counting)
    return counts


class Run:
    """A training of a copy of a model, with or without plans."""

    def __init__(self, model: nn.Module, compiling: bool, optimizer: Any = AdamW, **options: Any):
        neurenix.manual_seed(0)
        rng = np.random.default_rng(5)
        images = rng.normal(size=(19, 3, 8, 8)).astype(np.float32)
        labels = np.arange(19) % 2
        val = rng.normal(size=(6, 3, 8, 8)).astype(np.float32), np.arange(6) % 2
        self.model = copy.deepcopy(model)
        self.optimizer = optimizer(self.model.parameters(), lr=0.01)
        given = {"epochs": 3, "batch_size": 4, "verbose": 0} | options
        data = given.pop("data", (images, labels, *val))
        self.history = fine_tune(self.model, self.optimizer, *data, compile=compiling, **given)

    def assert_same(self, other: Run, rtol: float = 0.0) -> None:
        """Compare; bit by bit, since a plan calls NumPy's kernels in the order of the code.

        Where a BatchNorm that rests is folded into a convolution, to rounding: ``rtol``.
        """
        options = {"rtol": rtol, "atol": rtol / 10}
        for key in self.history:
            if key != "epoch_time":
                np.testing.assert_allclose(self.history[key], other.history[key], **options)
        states = self.model.state_dict(), other.model.state_dict()
        for name, tensor in states[0].items():
            found = tensor.numpy(), states[1][name].numpy()
            np.testing.assert_allclose(*found, err_msg=name, **options)
        for a, b in zip(self.model.parameters(), other.model.parameters(), strict=True):
            assert (a.grad is None) == (b.grad is None)
            if a.grad is not None and b.grad is not None:
                np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), **options)


@pytest.fixture
def model(convnet: Any) -> Callable[..., TransferModel]:
    """Return what makes a model: a base, of which some layers are trained, and a small head."""

    def make(layers: list[str] | None = None, **options: Any) -> TransferModel:
        head = nn.Sequential(nn.Dropout(0.3), nn.Linear(6, 2))
        return TransferModel(convnet, head, fine_tune_layers=layers, **options)

    return make


def momentum(params: Any, lr: float) -> SGD:
    return SGD(params, lr=lr, momentum=0.9, weight_decay=1e-3)


@pytest.mark.parametrize("layers", [None, ["layer1"], ["bn1", "layer10"]])
@pytest.mark.parametrize("cache", ["memory", "off"])
def test_training_by_plans_is_training(model: Any, traces: Counts, cache: Any, layers: Any) -> None:
    made = model(layers)
    ours = Run(made, True, cache=cache)
    # The step that makes the optimizer's state, batches of 4, and the last one of 3.
    assert len(traces.names) == 3
    assert all(names.count("adam_step") >= 2 for names in traces.names)
    folded = layers == ["bn1", "layer10"]
    ours.assert_same(Run(made, False, cache=cache), rtol=1e-4 if folded else 0.0)
    assert len(traces.names) == 3


@pytest.mark.parametrize(
    "options",
    [
        {"clip_norm": 0.1},
        {"clip_value": 0.01, "optimizer": momentum},
        {"ema": 0.9},
        {"regularizer": L2SP(0.5)},
        {"regularizer": lambda model: sum((p * p).sum() for p in model.parameters()) * 0.01},
        {"class_weight": {0: 2.0}, "label_smoothing": 0.1},
        {"loss_fn": nn.CrossEntropyLoss(reduction="sum")},
        {"loss_fn": lambda outputs, labels: neurenix.cross_entropy(outputs, labels)},
        {
            "optimizer": momentum,
            "scheduler": lambda optimizer, steps: OneCycleLR(
                optimizer, 0.1, total_steps=steps, cycle_momentum=False
            ),
        },
        {"metrics": ["f1", "top1"]},
        {"shuffle": False, "batch_size": 19},
    ],
)
def test_options_go_with_plans(model: Any, traces: Counts, options: Any, capsys: Any) -> None:
    made = model(["layer1"])
    ours = Run(made, True, verbose=1, **copy.deepcopy(options))
    assert EAGERLY not in capsys.readouterr().out
    # At most: a first step that makes what is kept, once more for it, and two sizes of batches.
    assert 1 <= len(traces.names) <= 4
    ours.assert_same(Run(made, False, **copy.deepcopy(options)))


def test_what_is_frozen_may_change_between_epochs(model: Any) -> None:
    class Thawing(Callback):
        def on_epoch_begin(self, epoch: int, history: Any) -> None:
            if epoch == 2:
                unfreeze_layers(self.model, ["layer10"])

    made = model()
    runs = [Run(made, compiling, epochs=4, callbacks=[Thawing()]) for compiling in (True, False)]
    runs[0].assert_same(runs[1])
    before = dict(made.named_parameters())
    changed = [
        name
        for name, param in runs[0].model.named_parameters()
        if not np.array_equal(param.detach().numpy(), before[name].detach().numpy())
    ]
    assert any("layer10" in name for name in changed)
    assert not any("layer1." in name for name in changed)


def test_callbacks_see_the_gradients_of_each_step(model: Any) -> None:
    class Norms(Callback):
        def __init__(self) -> None:
            self.seen: list[float] = []

        def on_train_batch_end(self, number: int, logs: Any) -> None:
            grads = [p.grad for p in self.model.parameters() if p.grad is not None]
            self.seen.append(sum(float((grad * grad).sum()) for grad in grads))

    made = model(["layer10"])
    watched = [Norms(), Norms()]
    for compiling, norms in zip((True, False), watched, strict=True):
        Run(made, compiling, callbacks=[norms])
    assert watched[0].seen == watched[1].seen
    assert len(set(watched[0].seen)) == 15


class Peeking(nn.Module):
    """Reads a value, which a plan cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * (1.0 if x.sum().item() > 1e9 else 2.0)


CALLS: list[int] = []


def listed(outputs: Tensor, labels: Tensor) -> Tensor:
    CALLS.append(1)
    return neurenix.cross_entropy(outputs, labels)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"mixup": 0.2}, "since mixup mixes every batch by another share"),
        (
            {"scheduler": lambda optimizer, steps: OneCycleLR(optimizer, 0.1, total_steps=steps)},
            "since the scheduler cycles the momentum",
        ),
        (
            {"loss_fn": lambda o, y: neurenix.cross_entropy(o, y) * (o.sum().item() * 0 + 1)},
            "since .*o.sum",
        ),
        ({"loss_fn": listed}, "since it changes the global 'CALLS'"),
    ],
)
def test_what_runs_step_by_step_is_said_once(
    model: Any, capsys: Any, options: Any, reason: str
) -> None:
    made = model(["layer1"])
    CALLS.clear()
    ours = Run(made, True, verbose=1, **options)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith(EAGERLY)]
    assert len(said) == 1
    assert re.match(EAGERLY + reason, said[0])
    calls = len(CALLS)
    theirs = Run(made, False, verbose=1, **options)
    assert EAGERLY not in capsys.readouterr().out
    assert len(CALLS) == 2 * calls
    ours.assert_same(theirs)


def test_a_model_that_reads_values(convnet: Any, capsys: Any) -> None:
    made = TransferModel(convnet, Peeking())
    ours = Run(made, True, verbose=1)
    assert "Training steps run one op at a time, since " in capsys.readouterr().out
    ours.assert_same(Run(made, False))


def test_samples_of_several_shapes(traces: Counts, capsys: Any) -> None:
    """Rows of several lengths: those of the first one's have plans, others would pile them up."""

    class Sums(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(1, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x.mean(axis=1, keepdims=True))

    class Batches:
        def __iter__(self) -> Iterator[Any]:
            rng = np.random.default_rng(0)
            for width in (3, 5, 3, 7, 3, 9):
                rows = rng.normal(size=(4, width)).astype(np.float32)
                yield Tensor(rows), Tensor([0, 1, 0, 1])

    neurenix.manual_seed(0)
    made = Sums()
    ours = Run(made, True, verbose=1, data=(Batches(),))
    said = capsys.readouterr().out
    assert said.count("for batches whose samples have another shape than the first one") == 1
    assert len(traces.names) == 2
    ours.assert_same(Run(made, False, data=(Batches(),)))


def test_plans_are_let_go(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unfrozen epoch by epoch leaves no plans behind."""

    class Turns(Callback):
        def on_epoch_begin(self, epoch: int, history: Any) -> None:
            name = ("layer10", "layer1", "bn1")[epoch % 3]
            for path, param in self.model.named_parameters():
                param.requires_grad = name in path or "head" in path or "new" in path

        def on_epoch_end(self, epoch: int, history: Any) -> None:
            gc.collect()
            self.alive.append(sum(isinstance(each, Arena) for each in gc.get_objects()))

        def __init__(self) -> None:
            self.alive: list[int] = []

    turns = Turns()
    Run(model(["layer10"]), True, epochs=9, callbacks=[turns], cache="off")
    assert max(turns.alive[3:]) <= max(turns.alive[:3]) + 2, turns.alive


def test_recipes_take_the_option(model: Any, traces: Counts) -> None:
    rng = np.random.default_rng(5)
    images = rng.normal(size=(12, 3, 8, 8)).astype(np.float32)
    histories, start = [], model()
    for compiling in (True, False):
        found = adapt(
            copy.deepcopy(start),
            images,
            np.arange(12) % 2,
            recipe="progressive",
            epochs=2,
            verbose=0,
            compile=compiling,
        )
        histories.append(found["train_loss"])
        assert bool(traces.names) is compiling
        traces.names.clear()
    assert histories[0] == histories[1]


class Nudging:
    """A plan whose steps differ from eager ones, as an engine's do by rounding; only far more."""

    def __init__(self, graph: Graph) -> None:
        self._plan = Plan(graph)
        written = {storage for node in graph.nodes for storage in node.written}
        captured = [value for value in graph.captured if value.storage in written]
        self._weights = [v.tensor for v in captured if v.tensor is not None and v.ndim > 0]

    def run(self, inputs: Any) -> Any:
        results = self._plan.run(inputs)
        with neurenix.no_grad():
            for weight in self._weights:
                weight.copy_(weight * 1.001)
        return results


@pytest.mark.parametrize("options", [{}, {"regularizer": L2SP(0.5)}, {"ema": 0.9}])
def test_a_resumed_run_takes_the_same_steps_by_plans(
    model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, options: Any
) -> None:
    """Which steps run as plans does not depend on what ran before."""
    backend = type(neurenix.ones((1,)).device.backend)
    monkeypatch.setattr(backend, "compile", staticmethod(Nudging), raising=False)
    made = model(["layer1"])

    def run(compiling: bool = True, **further: Any) -> Run:
        return Run(made, compiling, **copy.deepcopy(options), **further)

    whole = run(epochs=4)
    run(epochs=2, checkpoint_dir=tmp_path)
    resumed = run(epochs=4, checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    resumed.assert_same(whole)
    run(epochs=4, cache="off").assert_same(whole)
    eager = run(False, epochs=4)
    assert eager.history["train_loss"] != whole.history["train_loss"]
