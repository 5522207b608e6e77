"""Low-rank adapters: what they compute, what they train, and what is left when they are gone."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.optim import Adam
from neurenix.transfer import (
    AdapterError,
    LoRAConv2d,
    LoRALinear,
    TransferModel,
    UnknownLayerError,
    add_lora,
    fine_tune,
    merge_lora,
    unload_lora,
)

KINDS = pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
LAYERS = {
    "linear": lambda: nn.Linear(5, 7),
    "linear-no-bias": lambda: nn.Linear(5, 7, bias=False),
    "conv": lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1),
    "conv-no-bias": lambda: nn.Conv2d(4, 6, (1, 3), dilation=(1, 2), bias=False),
    "conv-same": lambda: nn.Conv2d(4, 6, 3, padding="same"),
    "conv-groups": lambda: nn.Conv2d(4, 6, 3, groups=2),
}
EACH_LAYER = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)


def inputs_of(layer):
    shape = (3, 5) if isinstance(layer, nn.Linear) else (3, 4, 8, 9)
    return Tensor(np.random.default_rng(0).normal(size=shape).astype(np.float32))


def values(tensor):
    return tensor.detach().numpy()


def drawn(layer):
    """Give the adapter of a layer values as if it had been trained."""
    generator = neurenix.Generator(5)
    for name in ("lora_A", "lora_B", "lora_magnitude"):
        param = getattr(layer, name)
        if param is not None:
            noise = neurenix.randn(param.shape, generator=generator) * 0.3
            with neurenix.no_grad():
                param.copy_(param + noise)
    return layer


def effective_weight(layer):
    """W + s B A, and for DoRA m times its direction, computed in float64 from the definition."""
    weight, a, b = (
        values(each).astype(np.float64) for each in (layer.weight, layer.lora_A, layer.lora_B)
    )
    groups = getattr(layer, "groups", 1)
    rank = layer.adapter.rank
    parts = [
        part_b.reshape(-1, rank) @ part_a.reshape(rank, -1)
        for part_a, part_b in zip(np.split(a, groups), np.split(b, groups), strict=True)
    ]
    full = weight + layer.adapter.alpha / rank * np.concatenate(parts).reshape(weight.shape)
    if layer.lora_magnitude is None:
        return full
    rows = full.reshape(len(full), -1)
    size = values(layer.lora_magnitude)[:, None] / np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows * size).reshape(weight.shape)


@KINDS
@EACH_LAYER
def test_at_the_start_the_output_is_the_same_to_the_last_bit(make, dora):
    model = nn.Sequential(make())
    x = inputs_of(model[0])
    before = values(model(x))
    assert add_lora(model, "0", rank=3, dora=dora) == ["0"]
    assert isinstance(model[0], LoRALinear | LoRAConv2d)
    assert values(model(x)).tobytes() == before.tobytes()


@KINDS
@EACH_LAYER
def test_it_computes_with_the_weight_of_the_definition(make, dora):
    layer = make()
    plain = type(layer)
    add_lora(layer, None, rank=3, alpha=6.0, dora=dora)
    drawn(layer)
    x = inputs_of(layer)
    out = values(layer(x))
    expected = effective_weight(layer)
    merge_lora(layer)
    assert type(layer) is plain
    np.testing.assert_allclose(values(layer.weight), expected, atol=1e-6)
    np.testing.assert_allclose(values(layer(x)), out, atol=1e-5)


@KINDS
@EACH_LAYER
def test_gradients_of_the_adapter_equal_differences(make, dora):
    layer = make().to(neurenix.float64)
    add_lora(layer, None, rank=2, dora=dora)
    drawn(layer)
    x = inputs_of(layer).astype(neurenix.float64)
    generator = neurenix.Generator(2)
    weights = neurenix.randn(layer(x).shape, dtype=neurenix.float64, generator=generator)
    (layer(x) * weights).sum().backward()
    assert layer.weight.grad is None
    norm = values(layer._norm()) if dora else None
    for name in ("lora_A", "lora_B", *(["lora_magnitude"] if dora else [])):
        param = getattr(layer, name)
        step = np.random.default_rng(1).normal(size=param.shape)
        slope = float((values(param.grad) * step).sum())
        sides = []
        for sign in (1e-4, -1e-4):
            with neurenix.no_grad():
                param.copy_(param + Tensor(sign * step))
                if dora:  # no gradient flows through the norm: hold it
                    layer._norm = lambda: Tensor(norm)
                sides.append(float((layer(x) * weights).sum().item()))
                param.copy_(param - Tensor(sign * step))
        vars(layer).pop("_norm", None)
        assert slope == pytest.approx((sides[0] - sides[1]) / 2e-4, rel=1e-5, abs=1e-6)


def test_an_image_without_the_batch_axis_is_taken():
    layer = nn.Conv2d(4, 6, 3)
    add_lora(layer, None)
    drawn(layer)
    x = inputs_of(layer)
    np.testing.assert_allclose(values(layer(x[0])), values(layer(x))[0], atol=1e-6)


def test_a_dora_of_an_output_whose_weights_are_all_0_gives_no_nan():
    layer = nn.Linear(3, 2)
    nn.init.zeros_(layer.weight)
    x = neurenix.ones((1, 3))
    before = values(layer(x))
    add_lora(layer, None, dora=True)
    assert values(layer(x)).tobytes() == before.tobytes()
    layer(x).sum().backward()
    assert all(np.isfinite(values(p.grad)).all() for p in layer.parameters() if p.requires_grad)


def test_names_of_the_base_stay_and_only_the_adapter_is_trained(convnet):
    before = convnet.state_dict()
    neurenix.transfer.freeze_layers(convnet)
    adapted = add_lora(convnet, ["layer1", "re:f."], rank=2, dora=True)
    assert adapted == ["layer1.0", "fc"]
    added = [f"{name}.{own}" for name in adapted for own in ("lora_A", "lora_B", "lora_magnitude")]
    trained = [name for name, p in convnet.named_parameters() if p.requires_grad]
    assert trained == added
    after = convnet.state_dict()
    assert [name for name in after if name in before] == list(before)
    assert sorted(set(after) - set(before)) == sorted(added)
    assert all(values(after[name]).tobytes() == values(before[name]).tobytes() for name in before)


def test_layers_that_are_not_adapted_keep_training(convnet):
    add_lora(convnet, "layer1.0")
    frozen = [name for name, p in convnet.named_parameters() if not p.requires_grad]
    assert frozen == ["layer1.0.weight", "layer1.0.bias"]


def test_none_means_all_layers_and_on_a_transfer_model_those_of_its_base(convnet):
    model = TransferModel(convnet, nn.Linear(6, 2))
    expected = ["base_model.conv1", "base_model.layer1.0", "base_model.layer10"]
    assert add_lora(model, None) == expected  # neither the head nor the skipped classifier
    assert model.new_layers.weight.requires_grad
    unload_lora(model)
    assert add_lora(convnet, None) == ["conv1", "layer1.0", "layer10", "fc"]


def test_names_on_a_transfer_model_mean_layers_of_the_base(convnet):
    model = TransferModel(convnet, nn.Linear(6, 2))
    assert add_lora(model, "layer1") == ["base_model.layer1.0"]
    assert add_lora(model, "new_layers") == ["new_layers"]
    with pytest.raises(AdapterError, match="none at or below 'fc'"):
        add_lora(model, "fc")


def test_a_layer_stays_the_same_object_with_its_hooks(convnet):
    layer = convnet.layer1[0]
    calls = []
    layer.register_forward_hook(lambda module, args, out: calls.append(type(module)))
    add_lora(convnet, "layer1")
    assert convnet.layer1[0] is layer
    convnet(neurenix.ones((1, 3, 4, 4)))
    unload_lora(convnet)
    convnet(neurenix.ones((1, 3, 4, 4)))
    assert calls == [LoRAConv2d, nn.Conv2d]


def test_a_subclass_with_linears_own_forward_comes_back_as_it_was():
    class Named(nn.Linear):
        pass

    class Doubled(nn.Linear):
        def forward(self, x):
            return 2.0 * super().forward(x)

    model = nn.Sequential(Named(3, 4), Doubled(4, 2))
    with pytest.raises(AdapterError, match=r"1 \(Doubled\): a layer with a forward of its own"):
        add_lora(model, None)
    assert all(param.requires_grad for param in model.parameters())
    add_lora(model, "0")
    merge_lora(model)
    assert type(model[0]) is Named


def test_one_layer_under_two_names_is_adapted_once():
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    assert add_lora(model, ["0", "2"]) == ["0"]
    assert merge_lora(model) == ["0"]


@KINDS
def test_unloading_leaves_what_was_there(convnet, photos, dora):
    x = Tensor(photos)
    convnet.eval()
    before = values(convnet(x))
    names = list(convnet.state_dict())
    add_lora(convnet, None, dora=dora)
    for layer in (convnet.conv1, convnet.fc):
        drawn(layer)
    assert not np.allclose(values(convnet(x)), before, atol=1e-3)
    assert unload_lora(convnet) == ["conv1", "layer1.0", "layer10", "fc"]
    assert values(convnet(x)).tobytes() == before.tobytes()
    assert list(convnet.state_dict()) == names
    assert not any(hasattr(convnet.fc, name) for name in ("lora_A", "adapter", "plain_class"))


@KINDS
def test_merging_keeps_the_outputs_of_a_whole_model(convnet, photos, dora):
    x = Tensor(photos)
    convnet.eval()
    add_lora(convnet, None, rank=2, dora=dora)
    for _, layer in convnet.named_modules():
        if isinstance(layer, LoRALinear | LoRAConv2d):
            drawn(layer)
    before = values(convnet(x))
    merge_lora(convnet)
    assert type(convnet.conv1) is nn.Conv2d
    scale = np.abs(before).max()
    np.testing.assert_allclose(values(convnet(x)), before, atol=2e-6 * scale)


@KINDS
def test_fine_tuning_trains_the_adapters_and_the_head_only(convnet, photos, dora):
    model = TransferModel(convnet, nn.Linear(6, 2))
    add_lora(model, "layer1", rank=2, dora=dora, dropout=0.1)
    before = {name: values(tensor).copy() for name, tensor in model.state_dict().items()}
    labels = np.arange(8) % 2
    optimizer = Adam(model.parameters(), lr=0.02)
    history = fine_tune(model, optimizer, photos, labels, epochs=4, batch_size=4, verbose=0)
    assert history["train_loss"][-1] < history["train_loss"][0]
    changed = {n for n, t in model.state_dict().items() if (values(t) != before[n]).any()}
    adapter = {f"base_model.layer1.0.{name}" for name in ("lora_A", "lora_B")}
    if dora:
        adapter.add("base_model.layer1.0.lora_magnitude")
    assert changed == adapter | {"new_layers.weight", "new_layers.bias"}


def test_dropout_rests_in_eval_mode_and_falls_on_the_change_alone():
    layer = nn.Linear(64, 3)
    x = neurenix.ones((2, 64))
    plain = values(layer(x))
    add_lora(layer, None, dropout=0.5)
    layer.train()
    assert values(layer(x)).tobytes() == plain.tobytes()  # B is still zero
    drawn(layer)
    assert (values(layer(x)) != values(layer(x))).any()
    layer.eval()
    assert (values(layer(x)) == values(layer(x))).all()


def test_a_copy_has_an_adapter_of_its_own(convnet, photos):
    model = TransferModel(convnet, nn.Linear(6, 2))
    add_lora(model, "layer1")
    twin = model.clone()
    drawn(twin.base_model.layer1[0])
    assert (values(model.base_model.layer1[0].lora_B) == 0).all()
    merge_lora(twin)
    assert isinstance(model.base_model.layer1[0], LoRAConv2d)


def test_a_compiled_model_follows_adapters_put_on_and_taken_off(convnet, photos):
    x = Tensor(photos)
    convnet.eval()
    compiled = neurenix.compile(convnet, fallback="error")
    plain = values(compiled(x))
    add_lora(convnet, None, dora=True)
    for name in ("conv1", "fc"):
        drawn(convnet.get_submodule(name))
    np.testing.assert_allclose(values(compiled(x)), values(convnet(x)), atol=1e-5)
    assert not np.allclose(values(compiled(x)), plain, atol=1e-3)
    unload_lora(convnet)
    np.testing.assert_allclose(values(compiled(x)), plain, atol=1e-6)


def test_the_seed_decides_and_neurenixs_own_generator_is_not_touched():
    def drawn_with(seed):
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        state = neurenix.random.default_generator().get_state()
        add_lora(model, None, seed=seed)
        assert neurenix.random.default_generator().get_state() == state
        return values(model[0].lora_A), values(model[1].lora_A)

    first, second = drawn_with(1), drawn_with(1)
    assert (first[0] == second[0]).all()
    assert (first[0] != first[1]).any()
    assert (first[0] != drawn_with(2)[0]).any()


def test_errors_change_nothing(convnet):
    before = repr(convnet)
    with pytest.raises(UnknownLayerError, match="layer1"):
        add_lora(convnet, ["fc", "layer9"])
    with pytest.raises(AdapterError, match=r"Conv2d, and TinyConvNet has none at or below 'bn1'"):
        add_lora(convnet, "bn1")
    for wrong in ({"rank": 0}, {"rank": 2.5}, {"alpha": 0}, {"dropout": 1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            add_lora(convnet, "fc", **wrong)
    for function in (merge_lora, unload_lora):
        with pytest.raises(AdapterError, match="has no adapters"):
            function(convnet)
    assert repr(convnet) == before
    assert all(param.requires_grad for param in convnet.parameters())
    add_lora(convnet, "fc")
    with pytest.raises(AdapterError, match="fc: there is an adapter already"):
        add_lora(convnet, None)
    assert type(convnet.conv1) is nn.Conv2d


def test_the_repr_says_what_is_adapted():
    model = nn.Sequential(nn.Linear(4, 2))
    add_lora(model, None, rank=2, alpha=4, dora=True, dropout=0.25)
    assert "bias=True, rank=2, alpha=4, dropout=0.25, dora=True" in repr(model)
