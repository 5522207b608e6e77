"""What is checked up front, and the forms that data come in."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.data import DataLoader, Dataset
from neurenix.errors import ShapeError
from neurenix.optim import SGD
from neurenix.transfer import DataError, LabelError, fine_tune

X = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
Y = [0, 1, 0, 1, 0, 1, 0, 1, 0]


def tune(*data, model=None, **options):
    neurenix.manual_seed(0)
    model = nn.Linear(4, 2) if model is None else model
    optimizer = SGD(model.parameters(), lr=0.1)
    options = {"epochs": 2, "batch_size": 4, "verbose": 0} | options
    return fine_tune(model, optimizer, *data, **options)


FORMS = {
    "array": lambda: (X, np.array(Y)),
    "one big tensor": lambda: (Tensor(X), Tensor(Y)),
    "float64 array": lambda: (X.astype(np.float64), np.array(Y)),
    "list of tensors with labels of shape (1,)": lambda: (
        [Tensor(x) for x in X],
        [Tensor([y]) for y in Y],
    ),
    "list of arrays": lambda: (list(X), Y),
    "nested lists": lambda: (X.tolist(), Y),
    "labels of shape (N, 1)": lambda: (X, np.array(Y).reshape(-1, 1)),
    "list of pairs": lambda: ([(x, y) for x, y in zip(X, Y, strict=True)],),
    "Dataset": lambda: (Dataset(X, Y),),
    "DataLoader": lambda: (DataLoader(Dataset(X, Y), batch_size=4, shuffle=True),),
    "DataLoader with threads": lambda: (
        DataLoader(Dataset(X, Y), batch_size=4, shuffle=True, num_workers=2),
    ),
}


@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_of_the_same_data_gives_the_same_history(form):
    expected = tune(X, Y, X, Y)
    data = FORMS[form]()
    history = tune(*(data if len(data) == 2 else (*data, None)), X, Y)
    validated = tune(X, Y, *data)
    assert validated["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-6)
    for key in ("train_loss", "val_loss", "train_accuracy"):
        assert history[key] == expected[key], key


def test_any_iterable_of_batches_is_taken_and_asked_for_its_epoch():
    class Batches:
        epochs: list[int]

        def __init__(self):
            self.epochs = []

        def set_epoch(self, epoch):
            self.epochs.append(epoch)

        def __iter__(self):
            yield X[:5], np.array(Y[:5]).reshape(-1, 1)
            yield X[5:], np.array(Y[5:]).reshape(-1, 1)

    batches = Batches()
    history = tune(batches)
    assert len(history["train_loss"]) == 2
    assert batches.epochs == [0, 0, 1]  # checked, then trained on


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ((X, Y[:8]), DataError, r"train_data has 9 samples and train_labels 8 labels"),
        (([], []), DataError, "train_data is empty"),
        ((X[:0], np.array([])), DataError, "train_data is empty"),
        ((X,), DataError, "train_data came without train_labels"),
        (([*X[:3], X[3, :2]], Y[:4]), DataError, r"train_data\[3\] has the shape \(2,\)"),
        ((X, [0, 1, [0, 1], *Y[3:]]), DataError, r"train_labels\[2\] has the shape \(2,\)"),
        ((X, ["ant", "bee", *Y[2:]]), DataError, r"expected numbers. Number the classes"),
        ((X, [0, 1, 2, *Y[3:]]), LabelError, r"train_labels\[2\] is 2; the model has 2 outputs"),
        ((X, Y, X, [0, 9, *Y[2:]]), LabelError, r"val_labels\[1\] is 9"),
        ((X, Y, X), DataError, "val_data came without val_labels"),
        ((X, Y, None, Y), DataError, "val_labels came without val_data"),
        ((X, Y, [], []), DataError, "val_data is empty"),
        ((X, Y, X[:, :3], Y), DataError, r"val_data has samples of shape \(3,\)"),
        ((X, Y, X, [0.5] * 9), LabelError, "whole numbers"),
        ((Dataset(X, Y), Y), DataError, "brings its own labels"),
        ((Dataset(X),), TypeError, r"train_data\[0\] gives batches of .*pairs"),
        ((iter([(X, Y)]),), TypeError, "can be read only once"),
        (("photos/",), TypeError, "train_data is a str"),
        ((3,), TypeError, "train_data is a int"),
        ((np.array(3.0), Y), DataError, "single number"),
    ],
)
def test_unusable_data_are_named_before_anything_is_trained(data, error, message):
    model = nn.Linear(4, 2)
    before = model.weight.detach().numpy().copy()
    with pytest.raises(error, match=message):
        tune(*data, model=model)
    np.testing.assert_array_equal(model.weight.detach().numpy(), before)


@pytest.mark.filterwarnings("ignore:drop_last leaves no batch")
def test_a_loader_without_batches_is_an_error():
    with pytest.raises(DataError, match=r"train_data gives no batch: 9 samples, batch_size=10"):
        tune(DataLoader(Dataset(X, Y), batch_size=10, drop_last=True))


def test_a_dataset_is_read_through_and_a_differing_sample_named():
    def cut(x):
        return x[:3] if x[0] == X[5, 0] else x

    with pytest.raises(DataError, match=r"train_data\[5\] has the shape \(3,\)"):
        tune(Dataset(X, Y, transform=cut))


def test_a_sample_that_cannot_be_read_is_named():
    def fail(x):
        if x[0] == X[5, 0]:
            raise OSError("broken")
        return x

    with pytest.raises(OSError, match="broken") as error:
        tune(Dataset(X, Y, transform=fail))
    assert any("sample 5" in note for note in error.value.__notes__)


def test_an_error_of_the_model_says_on_which_sample():
    with pytest.raises(ShapeError) as error:
        tune(X, Y, model=nn.Linear(3, 2))
    assert any("first training sample" in note for note in error.value.__notes__)


def test_a_model_whose_output_is_no_tensor_is_a_clear_error():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x):
            return self.linear(x), x

    with pytest.raises(TypeError, match="gives a tuple"):
        tune(X, Y, model=Pair())


@pytest.mark.parametrize(
    ("option", "error"),
    [
        ({"epochs": -1}, ValueError),
        ({"batch_size": 0}, ValueError),
        ({"patience": -1}, ValueError),
        ({"epochs": 1.5}, TypeError),
        ({"seed": "a"}, TypeError),
        ({"verbose": 3}, ValueError),
        ({"scheduler": 3}, TypeError),
    ],
)
def test_numbers_out_of_range_are_errors(option, error):
    with pytest.raises(error, match=next(iter(option))):
        tune(X, Y, **option)
