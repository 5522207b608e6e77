"""How base and new layers meet."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.models import resnet18
from neurenix.transfer import JoinError, TransferModel


def features_of(convnet, x):
    return convnet.forward_head(convnet.forward_features(x), pre_logits=True)


def test_head_of_num_features_takes_pooled_features_and_skips_the_classifier(convnet, photos):
    head = nn.Linear(6, 2)
    model = TransferModel(convnet, head).eval()
    x = Tensor(photos)
    expected = head(features_of(convnet.eval(), x))
    np.testing.assert_array_equal(model(x).detach().numpy(), expected.detach().numpy())
    assert model.skipped_classifier is convnet.fc


def test_head_of_num_classes_keeps_the_logits(convnet, photos):
    head = nn.Linear(5, 2)
    model = TransferModel(convnet, head).eval()
    x = Tensor(photos)
    np.testing.assert_array_equal(model(x).detach().numpy(), head(convnet(x)).detach().numpy())
    assert model.skipped_classifier is None
    assert "logits" in model.summary()


def test_head_of_another_width_is_an_error_with_both_numbers(convnet):
    with pytest.raises(JoinError, match=r"take 7 .* gives 6 .* or 5 "):
        TransferModel(convnet, nn.Linear(7, 2))


def test_pooled_features_win_where_both_numbers_are_equal(convnet):
    convnet.fc = nn.Linear(6, 6)
    assert TransferModel(convnet, nn.Linear(6, 2)).skipped_classifier is convnet.fc


def test_resnet_base_of_the_specification_gives_512_pooled_features():
    base = resnet18()
    model = TransferModel(base, nn.Linear(512, 3))
    assert model.skipped_classifier is base.fc
    assert model(neurenix.zeros((1, 3, 32, 32))).shape == (1, 3)
    with pytest.raises(JoinError, match=r"300 .* 512 .* 1000"):
        TransferModel(base, nn.Linear(300, 2))


def test_the_choice_shows_in_summary(convnet):
    text = TransferModel(convnet, nn.Linear(6, 2)).summary()
    assert "pooled features of TinyConvNet (6 a sample)" in text
    assert "its classifier 'fc' is skipped" in text


def test_a_feature_map_meets_a_linear_of_c_by_global_average_pooling(photos):
    base = nn.Sequential(nn.Conv2d(3, 4, 3))
    model = TransferModel(base, nn.Linear(4, 2)).eval()
    x = Tensor(photos)
    expected = model.new_layers(base(x).mean(axis=(2, 3)))
    np.testing.assert_array_equal(model(x).detach().numpy(), expected.detach().numpy())


def test_a_feature_map_meets_a_linear_of_chw_by_flattening(photos):
    base = nn.Sequential(nn.Conv2d(3, 4, 3))
    model = TransferModel(base, nn.Linear(4 * 4 * 4, 2)).eval()
    x = Tensor(photos)
    expected = model.new_layers(base(x).reshape((8, 64)))
    np.testing.assert_array_equal(model(x).detach().numpy(), expected.detach().numpy())


def test_a_feature_map_that_fits_neither_way_is_an_error_with_both_numbers(photos):
    model = TransferModel(nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Linear(5, 2))
    with pytest.raises(JoinError, match=r"take 5 .* \(4, 4, 4\)"):
        model(Tensor(photos))


def test_a_convolutional_head_takes_the_feature_map(convnet, photos):
    head = nn.Sequential(nn.Conv2d(6, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = TransferModel(convnet, head).eval()
    x = Tensor(photos)
    expected = head(convnet.forward_features(x))
    np.testing.assert_array_equal(model(x).detach().numpy(), expected.detach().numpy())


def test_a_flattening_head_takes_the_feature_map(convnet, photos):
    head = nn.Sequential(nn.Flatten(), nn.Linear(6 * 6 * 6, 2))
    model = TransferModel(convnet, head)
    assert model(Tensor(photos)).shape == (8, 2)
    assert model.skipped_classifier is convnet.fc


def test_any_module_is_a_base_and_its_last_linear_is_taken_for_its_classifier(mlp, blobs):
    head = nn.Linear(8, 2)
    model = TransferModel(mlp, head).eval()
    x = Tensor(blobs.train)
    assert "to be verified at the first forward" in model.summary()
    expected = head(mlp[1](mlp[0](x)))
    for _ in range(2):  # the first forward verifies, the next ones leave before the classifier
        np.testing.assert_array_equal(model(x).detach().numpy(), expected.detach().numpy())
    assert model.skipped_classifier is mlp[2]
    assert "verified" not in model.summary()


def test_a_base_ending_in_softmax_still_ends_in_its_classifier(mlp, blobs):
    base = nn.Sequential(*mlp, nn.Softmax())
    model = TransferModel(base, nn.Linear(8, 2)).eval()
    x = Tensor(blobs.train)
    expected = model.new_layers(mlp[1](mlp[0](x)))
    np.testing.assert_array_equal(model(x).detach().numpy(), expected.detach().numpy())


def test_the_first_forward_finds_that_the_last_linear_is_no_classifier(blobs):
    base = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.Tanh())
    model = TransferModel(base, nn.Linear(8, 2))
    with pytest.raises(JoinError, match=r"take 8 values .* \(6,\)"):
        model(Tensor(blobs.train))


def test_a_last_linear_of_equal_widths_is_skipped_with_a_warning():
    base = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8))
    with pytest.warns(UserWarning, match=r"'2', takes as many values as it gives"):
        model = TransferModel(base, nn.Linear(8, 2))
    assert model.skipped_classifier is base[2]


def test_a_base_that_says_head_none_is_used_whole(blobs):
    base = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8))
    base.head = None
    model = TransferModel(base, nn.Linear(8, 2)).eval()
    x = Tensor(blobs.train)
    np.testing.assert_array_equal(
        model(x).detach().numpy(), model.new_layers(base(x)).detach().numpy()
    )
    assert model.skipped_classifier is None


def test_a_base_whose_output_is_no_tensor_is_a_clear_error(blobs):
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, x):
            return self.linear(x), x

    with pytest.raises(JoinError, match="gives a tuple"):
        TransferModel(Pair(), nn.Linear(3, 2))(Tensor(blobs.train))


def test_new_layers_may_be_a_list(convnet, photos):
    model = TransferModel(convnet, [nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)])
    assert model(Tensor(photos)).shape == (8, 2)
