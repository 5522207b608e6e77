"""Recipes: what they set, what they train, and what their history says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.data import DataLoader, Dataset
from neurenix.optim import Adam
from neurenix.transfer import (
    Callback,
    History,
    LabelError,
    RecipeError,
    TransferModel,
    adapt,
    fine_tune,
    fit_linear_probe,
)


@pytest.fixture
def model(convnet: Any) -> TransferModel:
    head = nn.Sequential(
        nn.Dropout(0.3), nn.LayerNorm(6, elementwise_affine=False), nn.Linear(6, 2)
    )
    return TransferModel(convnet, head)


@pytest.fixture
def images() -> tuple[np.ndarray, np.ndarray]:
    """Sixty images, whose class is how bright their first channel is."""
    rng = np.random.default_rng(2)
    labels = np.arange(60) % 2
    data = rng.normal(size=(60, 3, 6, 6)).astype(np.float32)
    data[:, 0] += 0.8 * (2 * labels[:, None, None] - 1)
    return data, labels


def trainable(model: nn.Module) -> set[str]:
    return {name for name, param in model.named_parameters() if param.requires_grad}


def values_of(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


class TestProbe:
    def test_sets_what_fit_linear_probe_finds_into_the_head(self, model: Any, images: Any) -> None:
        data, labels = images
        adapt(model, data, labels, recipe="probe", verbose=0)
        model.eval()
        with neurenix.no_grad():
            features = model.new_layers[1](model.forward_base(Tensor(data)))
            logits = model(Tensor(data)).numpy()
        expected = fit_linear_probe(features, labels)
        np.testing.assert_allclose(logits, expected.outputs(features), rtol=1e-3, atol=1e-4)

    def test_leaves_the_base_and_the_freezing_as_they_are(self, model: Any, images: Any) -> None:
        before, freezing = values_of(model), trainable(model)
        adapt(model, *images, recipe="probe", verbose=0)
        after = values_of(model)
        changed = {name for name in before if (before[name] != after[name]).any()}
        assert changed == {"new_layers.2.weight", "new_layers.2.bias"}
        assert trainable(model) == freezing
        assert "forward" not in vars(model.new_layers[2])

    def test_its_history_is_one_epoch_measured_as_fine_tune_does(
        self, model: Any, images: Any
    ) -> None:
        data, labels = images
        history = adapt(
            model, data[:40], labels[:40], data[40:], labels[40:],
            recipe="probe", metrics=["f1"], verbose=0,
        )  # fmt: skip
        assert history.phases == ["probe"]
        assert history.recipe == "probe"
        assert {len(values) for values in history.values()} == {1}
        with neurenix.no_grad():
            logits = model(Tensor(data[40:]))
            loss = neurenix.cross_entropy(logits, Tensor(labels[40:])).item()
        accuracy = (logits.numpy().argmax(axis=1) == labels[40:]).mean()
        assert history["val_loss"][0] == pytest.approx(loss, rel=1e-4)
        assert history["val_accuracy"][0] == pytest.approx(accuracy)
        assert 0.0 <= history["val_f1"][0] <= 1.0

    def test_reads_every_form_of_data_alike(self, convnet: Any, images: Any) -> None:
        data, labels = images
        forms = [
            (data, labels),
            (list(data), list(labels)),
            (Dataset(list(data), [int(label) for label in labels]), None),
            (DataLoader(Dataset(list(data), [int(n) for n in labels]), 7, shuffle=True), None),
        ]
        heads = []
        for inputs, targets in forms:
            model = TransferModel(convnet, nn.Linear(6, 2)).clone()
            adapt(model, inputs, targets, recipe="probe", verbose=0)
            heads.append(model.new_layers.weight.detach().numpy())
        for head in heads[1:]:
            np.testing.assert_allclose(head, heads[0], rtol=1e-4, atol=1e-6)

    def test_one_logit_for_two_classes(self, convnet: Any, images: Any) -> None:
        data, labels = images
        model = TransferModel(convnet, nn.Linear(6, 1))
        history = adapt(model, data, labels, recipe="probe", verbose=0)
        with neurenix.no_grad():
            decided = model(Tensor(data)).numpy()[:, 0] > 0
        assert history["train_accuracy"][0] == pytest.approx((decided == labels).mean())
        assert history["train_accuracy"][0] > 0.8

    def test_values_by_ridge_regression(self, convnet: Any, images: Any) -> None:
        data, _ = images
        model = TransferModel(convnet, nn.Linear(6, 1))
        history = adapt(model, data, data[:, 0].mean(axis=(1, 2)), recipe="probe", verbose=0)
        assert history.metric == "mae"
        assert history["train_mae"][0] < 0.5

    def test_a_model_that_is_no_transfer_model(self, mlp: Any, blobs: Any) -> None:
        model = nn.Sequential(*list(mlp)[:-1], nn.Linear(8, 2))
        history = adapt(model, blobs.train, blobs.train_labels, recipe="probe", verbose=0)
        assert history["train_accuracy"][0] > 0.85

    @pytest.mark.parametrize(
        ("head", "what"),
        [
            (nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), "progressive"),
            (nn.Sequential(nn.Linear(6, 2), nn.Softmax(axis=1)), "logits"),
            (nn.Linear(6, 2, bias=False), "bias=True"),
            (nn.Conv2d(6, 2, 1), "no Linear"),
        ],
    )
    def test_another_head_is_an_error_that_says_what_to_do(
        self, convnet: Any, images: Any, head: Any, what: str
    ) -> None:
        with pytest.raises(RecipeError, match=what):
            adapt(TransferModel(convnet, head), *images, recipe="probe", verbose=0)

    def test_rows_of_labels_are_an_error(self, model: Any, images: Any) -> None:
        rows = np.eye(2, dtype=np.float32)[images[1]]
        with pytest.raises(LabelError, match="classes, one a sample"):
            adapt(model, images[0], rows, recipe="probe", verbose=0)

    def test_options_without_effect_are_an_error(self, model: Any, images: Any) -> None:
        with pytest.raises(ValueError, match="mixup"):
            adapt(model, *images, recipe="probe", mixup=0.2, verbose=0)


class TestLpFt:
    def test_goes_on_from_the_probe(self, model: Any, images: Any) -> None:
        data, labels = images
        options: dict[str, Any] = {"verbose": 0, "unfreeze": "layer10"}
        probed = adapt(model.clone(), data, labels, recipe="probe", verbose=0)
        history = adapt(model, data, labels, recipe="lp-ft", epochs=3, **options)
        assert history.phases == ["probe", "fine-tune", "fine-tune", "fine-tune"]
        assert history["train_loss"][0] == pytest.approx(probed["train_loss"][0], rel=1e-5)
        assert {len(history[key]) for key in ("train_loss", "lr", "epoch_time")} == {4}
        assert trainable(model) == {
            "base_model.layer10.weight", "base_model.layer10.bias",
            "new_layers.2.weight", "new_layers.2.bias",
        }  # fmt: skip

    def test_keeps_the_statistics_of_batch_norm(self, model: Any, images: Any) -> None:
        before = values_of(model)
        adapt(model, *images, recipe="lp-ft", unfreeze="all", epochs=2, verbose=0)
        after = values_of(model)
        assert (before["base_model.bn1.running_mean"] == after["base_model.bn1.running_mean"]).all()
        assert (before["base_model.bn1.weight"] != after["base_model.bn1.weight"]).any()

    def test_the_probe_is_kept_where_it_is_the_best(self, model: Any, images: Any) -> None:
        data, labels = images
        twin = model.clone()
        adapt(twin, data[:40], labels[:40], recipe="probe", verbose=0)
        history = adapt(
            model, data[:40], labels[:40], data[40:], labels[40:],
            recipe="lp-ft", epochs=2, base_lr=1.0, restore_best=True, verbose=0,
        )  # fmt: skip
        assert history.best_epoch == 0
        assert history.restored
        assert history["val_loss"][0] == min(history["val_loss"])
        for name, value in values_of(twin).items():
            np.testing.assert_allclose(values_of(model)[name], value, rtol=1e-5, err_msg=name)

    def test_takes_the_layers_that_are_trainable_already(self, convnet: Any, images: Any) -> None:
        model = TransferModel(convnet, nn.Linear(6, 2), fine_tune_layers=["layer1"])
        adapt(model, *images, recipe="lp-ft", epochs=1, verbose=0)
        assert {name for name in trainable(model) if "base_model" in name} == {
            f"base_model.layer1.{name}" for name in ("0.weight", "0.bias", "1.weight", "1.bias")
        }

    def test_a_base_without_a_layer_to_train_is_an_error(self, model: Any, images: Any) -> None:
        with pytest.raises(RecipeError, match="no layer of the base is left"):
            adapt(model, *images, recipe="lp-ft", unfreeze=[], verbose=0)


class TestProgressive:
    def test_the_head_first_then_from_the_last_stage_down(self, model: Any, images: Any) -> None:
        seen: list[set[str]] = []

        def watch(epoch: int, history: History) -> None:
            seen.append({name for name in moved(before, values_of(model)) if "num_" not in name})

        before = values_of(model)
        history = adapt(
            model, *images, recipe="progressive", unfreeze=["layer10", "layer1"], epochs=6,
            callbacks=[watch], verbose=0,
        )  # fmt: skip
        assert history.phases == [
            "head", "head", "head + layer10",
            *["head + layer1 and above"] * 3,
        ]  # fmt: skip
        assert not any("base_model" in name for name in seen[1])
        assert any("layer10" in name for name in seen[2])
        assert not any("layer1.0" in name for name in seen[2])
        assert any("layer1.0" in name for name in seen[3])
        assert not any("conv1" in name for name in seen[5])

    def test_deeper_stages_learn_more_slowly(self, model: Any, images: Any) -> None:
        optimizers: list[Any] = []

        class Look(Callback):
            def on_train_begin(self, history: History) -> None:
                optimizers.append(self.optimizer)

        adapt(
            model, *images, recipe="progressive", unfreeze=["layer10", "layer1"], epochs=2,
            callbacks=[Look()], scheduler=lambda optimizer, steps: Constant(), verbose=0,
        )  # fmt: skip
        found = sorted({group["lr"] for group in optimizers[0].param_groups}, reverse=True)
        assert found == pytest.approx([3e-3, 1e-4, 1e-4 / 2.6])

    def test_the_best_weights_are_those_of_the_best_epoch(self, model: Any, images: Any) -> None:
        data, labels = images
        kept: list[dict[str, np.ndarray]] = []
        history = adapt(
            model, data[:40], labels[:40], data[40:], labels[40:], recipe="progressive",
            unfreeze=["layer10", "layer1"], epochs=6, base_lr=0.3, restore_best=True,
            callbacks=[lambda epoch, history: kept.append(values_of(model))], verbose=0,
        )  # fmt: skip
        assert history.best_epoch is not None
        for name, value in values_of(model).items():
            np.testing.assert_array_equal(value, kept[history.best_epoch][name], err_msg=name)


class Constant:
    def step(self) -> None:
        pass


def moved(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> set[str]:
    return {name for name in before if (before[name] != after[name]).any()}


class TestFineTune:
    def test_follows_a_recipe(self, model: Any, images: Any) -> None:
        twin = model.clone()
        given = fine_tune(model, None, *images, recipe="probe", verbose=0)
        own = adapt(twin, *images, recipe="probe", verbose=0)
        assert given["train_loss"] == own["train_loss"]
        assert given.phases == ["probe"]

    def test_a_recipe_brings_its_own_optimizer(self, model: Any, images: Any) -> None:
        optimizer = Adam(model.parameters(), lr=1e-3)
        with pytest.raises(TypeError, match="pass None for optimizer"):
            fine_tune(model, optimizer, *images, recipe="probe")

    def test_without_a_recipe_there_must_be_an_optimizer(self, model: Any, images: Any) -> None:
        with pytest.raises(TypeError, match="recipe="):
            fine_tune(model, None, *images)

    def test_an_unknown_recipe_names_the_known_ones(self, model: Any, images: Any) -> None:
        with pytest.raises(ValueError, match='"lp-ft"'):
            fine_tune(model, None, *images, recipe="best")  # type: ignore[arg-type]

    def test_the_same_seed_gives_the_same_bits(self, model: Any, images: Any) -> None:
        twin = model.clone()
        for each in (model, twin):
            fine_tune(each, None, *images, recipe="progressive", epochs=2, seed=4, verbose=0)
        for name, value in values_of(model).items():
            np.testing.assert_array_equal(value, values_of(twin)[name])


@pytest.mark.parametrize("recipe", ["progressive", "lp-ft"])
@pytest.mark.parametrize("stop", [1, 3])
def test_a_recipe_that_was_stopped_goes_on_to_the_same_bits(
    model: Any, images: Any, tmp_path: Any, recipe: Any, stop: int
) -> None:
    def interrupt(epoch: int, history: History) -> None:
        if epoch == stop:
            raise KeyboardInterrupt

    data, labels = images
    options: dict[str, Any] = {
        "recipe": recipe, "unfreeze": ["layer10", "layer1"], "epochs": 4, "verbose": 0,
        "restore_best": True,
    }  # fmt: skip
    parts = data[:40], labels[:40], data[40:], labels[40:]
    kept = {"checkpoint_dir": tmp_path}
    stopped, resumed = model.clone(), model.clone()
    whole = adapt(model, *parts, **options)
    with pytest.raises(KeyboardInterrupt):
        adapt(stopped, *parts, callbacks=[interrupt], **kept, **options)
    history = adapt(
        resumed, *parts, resume_from_checkpoint=True, callbacks=[lambda epoch: None],
        **kept, **options,
    )  # fmt: skip
    assert history.phases == whole.phases
    for key in whole.keys() - {"epoch_time"}:
        assert history[key] == whole[key]
    assert not moved(values_of(model), values_of(resumed))
