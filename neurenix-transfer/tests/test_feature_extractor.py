"""Models cut off behind one of their layers."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.errors import ShapeError
from neurenix.models import bert, resnet18
from neurenix.optim import SGD
from neurenix.transfer import TransferModel, UnknownLayerError, fine_tune
from neurenix.transfer.utils import get_layer_outputs, get_model_feature_extractor


def test_layer3_of_the_specification_gives_256_features():
    model = resnet18()
    extractor = get_model_feature_extractor(model, "layer3")
    features = extractor(neurenix.rand((1, 3, 64, 64)))
    assert features.shape == (1, 256)
    assert nn.Linear(features.shape[1], 10)(features).shape == (1, 10)
    joined = TransferModel(extractor, nn.Linear(256, 10), freeze_base=True)
    assert joined(neurenix.rand((1, 3, 64, 64))).shape == (1, 10)


def test_it_really_drops_what_lies_behind():
    model = resnet18()
    extractor = get_model_feature_extractor(model, "layer3")
    assert [name for name, _ in extractor.named_children()] == [
        "conv1",
        "bn1",
        "relu",
        "maxpool",
        "layer1",
        "layer2",
        "layer3",
    ]
    behind = sum(p.size for part in (model.layer4, model.fc) for p in part.parameters())
    kept = sum(p.size for p in extractor.parameters())
    assert kept == sum(p.size for p in model.parameters()) - behind
    assert not any(key.startswith(("layer4", "fc")) for key in extractor.state_dict())
    extractor(neurenix.rand((1, 3, 32, 32)))
    gone = weakref.ref(model.layer4)
    del model
    gc.collect()
    assert gone() is None
    assert extractor(neurenix.rand((1, 3, 32, 32))).shape == (1, 256)


def test_a_cut_inside_a_block_drops_the_rest_of_the_block(convnet, photos):
    extractor = get_model_feature_extractor(convnet, "layer1.0", pool=None)
    assert list(extractor.state_dict()) == [
        key for key in convnet.state_dict() if key.startswith(("conv1", "bn1", "layer1.0"))
    ]
    expected = get_layer_outputs(convnet, Tensor(photos), ["layer1.0"])["layer1.0"]
    found = extractor.eval()(Tensor(photos))
    np.testing.assert_array_equal(found.detach().numpy(), expected.numpy())


def test_it_shares_weights_keeps_names_and_leaves_the_model_as_it_is(convnet, photos):
    before = repr(convnet)
    extractor = get_model_feature_extractor(convnet, "layer1")
    named = dict(convnet.named_parameters())
    for name, param in extractor.named_parameters():
        assert param is named[name]
    convnet.train()
    extractor.eval()
    assert all(module.training for module in convnet.modules())
    assert repr(convnet) == before
    with neurenix.no_grad():
        convnet.conv1.weight.fill_(0.0)
        convnet.conv1.bias.fill_(0.0)
    outputs = get_layer_outputs(extractor, Tensor(photos), ["conv1"])
    assert not outputs["conv1"].numpy().any()


def test_pool_none_gives_the_raw_map_and_auto_its_average(convnet, photos):
    x = Tensor(photos)
    raw = get_model_feature_extractor(convnet, "layer1", pool=None).eval()(x)
    pooled = get_model_feature_extractor(convnet, "layer1").eval()(x)
    assert raw.shape == (8, 6, 6, 6)
    expected = raw.detach().numpy().mean(axis=(2, 3))
    np.testing.assert_allclose(pooled.detach().numpy(), expected, rtol=1e-5, atol=1e-7)


def test_auto_pools_tokens_and_leaves_vectors(blobs):
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Linear(4, 6)
            self.head = nn.Linear(6, 2)

        def forward(self, x):
            return self.head(self.embed(x).mean(axis=1))

    model = Tokens()
    x = Tensor(blobs.train.reshape(6, 5, 4))
    assert get_model_feature_extractor(model, "embed")(x).shape == (6, 6)
    assert get_model_feature_extractor(model, "embed", pool=None)(x).shape == (6, 5, 6)
    assert get_model_feature_extractor(model, "head")(x).shape == (6, 2)


def test_layers_registered_behind_but_run_before_come_back_at_the_first_forward(blobs):
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(3, 2)
            self.wanted = nn.Linear(5, 3)
            self.first = nn.Linear(4, 5)

        def forward(self, x):
            return self.last(self.wanted(self.first(x)))

    model = Backwards()
    extractor = get_model_feature_extractor(model, "wanted")
    x = Tensor(blobs.train)
    expected = model.wanted(model.first(x)).detach().numpy()
    for _ in range(2):
        np.testing.assert_array_equal(extractor(x).detach().numpy(), expected)
    assert {name for name, _ in extractor.named_children()} == {"wanted", "first"}


def test_layers_that_a_forward_reaches_before_the_wanted_one_are_kept_with_a_warning(blobs):
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(2, 2)])

        def forward(self, x):
            return self.layers[1](self.layers[0](x))

    model = Listed()
    extractor = get_model_feature_extractor(model, "layers.0")
    x = Tensor(blobs.train)
    with pytest.warns(UserWarning, match="are kept"):
        found = extractor(x)
    np.testing.assert_array_equal(found.detach().numpy(), model.layers[0](x).detach().numpy())
    assert extractor(x).shape == (30, 3)


def test_an_error_of_the_input_is_not_hidden(convnet, blobs):
    extractor = get_model_feature_extractor(convnet, "layer1")
    with pytest.raises(ShapeError):
        extractor(Tensor(blobs.train))


def test_parameters_and_buffers_of_the_model_itself_come_along(blobs):
    class Shift(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift = nn.Parameter(neurenix.ones((4,)))
            self.register_buffer("scale", neurenix.full((4,), 2.0))
            self.linear = nn.Linear(4, 3)
            self.act = nn.ReLU()

        def forward(self, x):
            return self.act(self.linear(x * self.scale + self.shift))

    model = Shift()
    extractor = get_model_feature_extractor(model, "linear")
    assert list(extractor.state_dict()) == ["shift", "scale", "linear.weight", "linear.bias"]
    x = Tensor(blobs.train)
    expected = model.linear(x * 2.0 + 1.0).detach().numpy()
    np.testing.assert_array_equal(extractor(x).detach().numpy(), expected)


def test_an_extractor_is_used_whole_as_a_base_though_it_ends_in_a_square_linear(blobs):
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    extractor = get_model_feature_extractor(model, "1")
    joined = TransferModel(extractor, nn.Linear(8, 2))
    assert joined.skipped_classifier is None
    x = Tensor(blobs.train)
    expected = joined.new_layers(model[1](model[0](x))).detach().numpy()
    np.testing.assert_array_equal(joined(x).detach().numpy(), expected)


def test_layers_may_have_any_name(photos):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.pool = nn.MaxPool2d(2)
            self.model = nn.Flatten()
            self.head = nn.Linear(16, 5)
            self.out = nn.Linear(5, 2)

        def forward(self, x):
            return self.out(self.head(self.model(self.pool(self.conv(x)))))

    model = Named()
    assert get_model_feature_extractor(model, "model")(Tensor(photos)).shape == (8, 16)
    extractor = get_model_feature_extractor(model, "head")
    joined = TransferModel(extractor, nn.Linear(5, 2))
    assert joined(Tensor(photos)).shape == (8, 2)
    assert joined.skipped_classifier is None


def test_gradients_flow_and_layers_of_an_extractor_can_be_fine_tuned(convnet, photos):
    extractor = get_model_feature_extractor(convnet, "layer1")
    model = TransferModel(extractor, nn.Linear(6, 2), fine_tune_layers=["layer1"])
    before = convnet.layer1[0].weight.detach().numpy().copy()
    optimizer = SGD(model.parameters(), lr=0.1)
    fine_tune(model, optimizer, photos, [0, 1] * 4, epochs=1, verbose=0)
    assert (convnet.layer1[0].weight.detach().numpy() != before).any()


def test_clone_of_a_model_with_an_extractor_is_independent(convnet, photos):
    model = TransferModel(get_model_feature_extractor(convnet, "layer1"), nn.Linear(6, 2)).eval()
    x = Tensor(photos)
    expected = model(x).detach().numpy()
    twin = model.clone()
    with neurenix.no_grad():
        convnet.conv1.weight.fill_(0.0)
    np.testing.assert_array_equal(twin(x).detach().numpy(), expected)


def test_on_a_transfer_model_the_base_is_cut(convnet, photos):
    model = TransferModel(convnet, nn.Linear(6, 2))
    extractor = get_model_feature_extractor(model, "layer1")
    assert [name for name, _ in extractor.named_children()] == ["conv1", "bn1", "relu", "layer1"]
    whole = get_model_feature_extractor(model, "new_layers").eval()
    x = Tensor(photos)
    np.testing.assert_array_equal(whole(x).detach().numpy(), model.eval()(x).detach().numpy())


def test_an_extractor_can_be_cut_again(convnet, photos):
    first = get_model_feature_extractor(convnet, "layer1")
    second = get_model_feature_extractor(first, "conv1")
    assert second(Tensor(photos)).shape == (8, 4)
    assert [name for name, _ in second.named_children()] == ["conv1"]


def test_wrong_arguments_are_errors(convnet):
    with pytest.raises(UnknownLayerError, match="layr1"):
        get_model_feature_extractor(convnet, "layr1")
    with pytest.raises(ValueError, match="pool"):
        get_model_feature_extractor(convnet, "layer1", pool="max")


def test_tokens_that_fill_a_text_up_are_left_out_of_the_pooled_features(text_encoder):
    base = bert(text_encoder)
    extractor = get_model_feature_extractor(base.eval(), "encoder")
    ids = neurenix.Tensor([[1, 5, 6, 2]])
    padded = neurenix.Tensor([[1, 5, 6, 2, base.pad_token_id, base.pad_token_id]])
    with neurenix.no_grad():
        np.testing.assert_allclose(extractor(padded).numpy(), extractor(ids).numpy(), atol=1e-5)
