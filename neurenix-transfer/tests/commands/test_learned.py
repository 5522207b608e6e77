"""What a training changed in a model."""

from __future__ import annotations

from neurenix import nn, no_grad
from neurenix.transfer import TransferModel
from neurenix_transfer.runs.learned import Learned, WeightsBefore


def change(*modules: nn.Module) -> None:
    with no_grad():
        for module in modules:
            for param in module.parameters():
                param.copy_(param + 1)


def test_what_changed_is_counted_and_named_by_its_largest_parts() -> None:
    base = nn.Sequential(
        nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 5)), nn.Linear(5, 6)
    )
    model = TransferModel(base, nn.Linear(5, 2))
    before = WeightsBefore(model)
    assert before.learned() == Learned(12, ())  # the new layers count in any case
    change(base[1][1])
    assert before.learned() == Learned(12 + 25, ("1.1",))
    change(base[1][0])
    assert before.learned() == Learned(12 + 25 + 20, ("1",))
    change(base[0])
    # The last Linear is skipped, and so is no part of the model.
    assert before.learned() == Learned(12 + 25 + 20 + 16, ("all",))
