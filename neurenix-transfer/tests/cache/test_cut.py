"""Where a model is cut, and that both halves are the model."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import nn
from neurenix.dtypes import float32, int64
from neurenix.graph import TensorMeta
from neurenix.transfer import TransferModel
from neurenix_transfer.cache.cut import scaled
from neurenix_transfer.cache.precision import Plans
from neurenix_transfer.cache.split import Split
from neurenix_transfer.cache.tracing import UntraceableError, state_key, trace_training
from neurenix_transfer.streams import drawing_for


@pytest.fixture
def resnet():
    neurenix.manual_seed(0)
    return neurenix.models.resnet18(num_classes=3)


def split_of(model, shape=(3, 32, 32)):
    example = neurenix.zeros((1, *shape))
    model.eval()
    with neurenix.no_grad():
        model(example)  # verifies how base and head are joined
    model.train()
    return Split(model, example, [])


@pytest.mark.parametrize(
    ("layers", "names", "shapes"),
    [
        (None, ("base_model.avgpool",), [(1, 512)]),
        (["layer4"], ("base_model.layer3",), [(1, 256, 2, 2)]),
        (["layer4.1"], ("base_model.layer4.0",), [(1, 512, 1, 1)]),
        (
            ["layer4.1.conv2"],
            ("base_model.layer4.1.relu", "base_model.layer4.0"),
            [(1, 512, 1, 1), (1, 512, 1, 1)],
        ),
    ],
    ids=["whole base", "layer4", "second block", "inside a block"],
)
def test_the_cut_lies_right_in_front_of_what_is_trained(resnet, layers, names, shapes):
    model = TransferModel(resnet, nn.Linear(512, 2), fine_tune_layers=layers)
    if layers == ["layer4.1.conv2"]:
        model.get_base_model().layer4[1].bn1.requires_grad_(False)
        from neurenix.transfer import freeze_layers

        freeze_layers(model, [], bn="frozen")
    cut = split_of(model).cut
    assert set(cut.frozen) <= {*names, "base_model.layer4.1.bn1"}
    assert [part.shape for part in cut.parts] == shapes


@pytest.mark.parametrize("layers", [None, ["layer4"], ["layer2.0"]])
def test_both_halves_give_what_the_model_gives_and_its_gradients(resnet, layers):
    model = TransferModel(
        resnet, nn.Sequential(nn.Dropout(0.5), nn.Linear(512, 2)), fine_tune_layers=layers
    )
    split = split_of(model)
    x = neurenix.randn((5, 3, 32, 32))
    buffers = [buffer.clone() for buffer in model.buffers()]
    results = []
    for halves in (True, False):
        for buffer, before in zip(model.buffers(), buffers, strict=True):
            buffer.copy_(before)
        model.zero_grad()
        with drawing_for(0, 3):
            if halves:
                features = split.run_frozen([x[n : n + 1] for n in range(5)])
                out = split.run_rest(features)
            else:
                out = model(x)
        (out * out).sum().backward()
        grads = [p.grad.numpy() for p in model.parameters() if p.requires_grad]
        results.append([out.detach().numpy(), *grads, *[b.numpy().copy() for b in model.buffers()]])
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, atol=2e-4 * max(1.0, np.abs(two).max()))


def test_features_do_not_depend_on_order_or_on_the_samples_beside(make):
    split = split_of(make.convolutional(), (3, 8, 8))
    x = neurenix.Tensor(make.images(6)[0])
    singles = [x[n : n + 1] for n in range(6)]
    one, two = split.run_frozen(singles), split.run_frozen(singles[::-1])[::-1]
    for a, b in zip(one, two, strict=True):
        assert a.parts[0].tobytes() == b.parts[0].tobytes()


class Flipped(nn.Module):
    """Each sample sees the last one of the batch, by ops that no count of samples gives away."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(5, 6)

    def forward(self, x):
        x = self.linear(x)
        return x - x.flip((0,))


def test_mixing_of_samples_that_the_graph_does_not_show_is_found_by_trying():
    model = nn.Sequential(Flipped(), nn.Linear(6, 2))
    model[0].requires_grad_(False)
    split = split_of(model, (5,))
    with pytest.raises(UntraceableError, match="depend on the samples beside it"):
        split.first.verify(neurenix.randn((1, 5)), neurenix.randn((1, 5)))


def test_statistics_that_training_writes_are_no_frozen_part_of_evaluation():
    # A BatchNorm without weights follows the module around it, which is trained in part.
    model = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6, affine=False), nn.Linear(6, 2))
    model[0].requires_grad_(False)
    train = split_of(model, (5,))
    assert train.cut.frozen == ("0",)
    assert train.statistics
    model.eval()
    example = neurenix.zeros((1, 5))
    assert Split(model, example, train.statistics).cut.frozen == ("0",)
    assert Split(model, example, []).cut.frozen == ("1",)  # if nothing wrote them


def test_training_and_evaluation_share_features_where_dropout_follows_the_cut(make):
    model = make.convolutional()
    train = split_of(model, (3, 8, 8))
    model.eval()
    assert Split(model, neurenix.zeros((1, 3, 8, 8)), []).first.digest == train.first.digest


def test_training_and_evaluation_share_the_plan_where_it_is_the_same(make, monkeypatch):
    made = []
    make_plan = Plans.make
    monkeypatch.setattr(
        Plans, "make", lambda self, graph: made.append(graph) or make_plan(self, graph)
    )
    model = make.convolutional()
    train = split_of(model, (3, 8, 8))
    model.eval()
    example = neurenix.zeros((1, 3, 8, 8))
    val = Split(model, example, [], kin=[train])
    assert len(made) == 1
    assert val.weights is train.weights
    sample = neurenix.randn((1, 3, 8, 8))
    for mine, theirs in zip(
        val.run_frozen([sample])[0].parts, train.run_frozen([sample])[0].parts, strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)

    # Another freezing ends elsewhere, and other weights are other tensors: no plan fits.
    model.base_model.layer2.requires_grad_(True)
    Split(model, example, [], kin=[train, val])
    other = make.convolutional().eval()
    with neurenix.no_grad():
        other(example)
    Split(other, example, [], kin=[train, val])
    assert len(made) == 3


def test_a_trace_leaves_the_model_and_the_random_numbers_as_they_were(make):
    model = make.convolutional(["layer2"]).train()
    before = neurenix.random.default_generator().get_state()
    state = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    trace = trace_training(model, TensorMeta((4, 3, 8, 8), float32))
    assert trace.graph.keys  # dropout draws
    assert trace.written_tensors()  # BatchNorm writes
    assert neurenix.random.default_generator().get_state() == before
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), state[name])
    assert not any(module._forward_hooks for module in model.modules())


def test_a_setting_that_a_callback_changes_is_another_state(make):
    model = make.convolutional()
    before = state_key(model)
    assert state_key(model) == before
    model.new_layers[0].p = 0.1
    assert state_key(model) != before


def test_asking_for_the_end_is_no_other_state(make):
    model = make.convolutional()
    before = state_key(model)
    model.stop_training = True
    assert state_key(model) == before


def test_sizes_that_count_samples_are_carried_over_to_other_batches():
    assert scaled((2, 7, 4), (3, 7, 6), 1) == (1, 7, 2)
    assert scaled(((0, 2), True), ((0, 3), True), 8) == ((0, 8), True)
    with pytest.raises(UntraceableError, match="a number that depends on the batch"):
        scaled(0.5, 0.25, 1)
    with pytest.raises(UntraceableError, match="other axes"):
        scaled((2, 1), (3,), 1)


def test_inputs_may_be_dicts_of_several_tensors():
    class Two(nn.Module):
        head = None

        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(9, 4)
            self.out = nn.Linear(4, 2)

        def forward(self, inputs):
            x = self.words(inputs["ids"]) * inputs["weights"].unsqueeze(-1)
            return self.out(x.sum(axis=1))

    model = Two()
    model.words.requires_grad_(False)
    ids = neurenix.Tensor(np.arange(12).reshape(4, 3) % 9, dtype=int64)
    inputs = {"ids": ids, "weights": neurenix.rand((4, 3))}
    singles = [{key: value[n : n + 1] for key, value in inputs.items()} for n in range(4)]
    split = Split(model, singles[0], [])
    halves = split.run_rest(split.run_frozen(singles))
    np.testing.assert_allclose(halves.detach().numpy(), model(inputs).detach().numpy(), atol=1e-6)
