"""Schedules against sequences computed by hand."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from neurenix.nn import Parameter
from neurenix.optim import (
    SGD,
    Adam,
    CosineAnnealingLR,
    LinearWarmup,
    OneCycleLR,
    Optimizer,
    ReduceLROnPlateau,
    StepLR,
)


def optimizer(lr: float = 1.0, **options: Any) -> SGD:
    return SGD([Parameter([1.0])], lr=lr, **options)


def rates(scheduler: Any, steps: int) -> list[float]:
    found = [scheduler.get_last_lr()[0]]
    for _ in range(steps):
        scheduler.step()
        found.append(scheduler.get_last_lr()[0])
    return found


def test_step() -> None:
    scheduler = StepLR(optimizer(), step_size=2, gamma=0.5)
    assert rates(scheduler, 5) == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_cosine() -> None:
    scheduler = CosineAnnealingLR(optimizer(), T_max=4, eta_min=0.2)
    half = 0.4 * math.sqrt(0.5)
    expected = [1, 0.6 + half, 0.6, 0.6 - half, 0.2, 0.6 - half]
    assert rates(scheduler, 5) == pytest.approx(expected)


def test_warmup() -> None:
    assert rates(LinearWarmup(optimizer(), 4), 6) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1])
    scheduler = LinearWarmup(optimizer(2.0), 2, start_factor=0.5)
    assert rates(scheduler, 3) == pytest.approx([1, 1.5, 2, 2])


def test_warmup_hands_over() -> None:
    inner = optimizer()
    scheduler = LinearWarmup(inner, 2, then=CosineAnnealingLR(inner, 2))
    assert rates(scheduler, 4) == pytest.approx([1 / 3, 2 / 3, 1, 0.5, 0], abs=1e-12)
    with pytest.raises(ValueError, match="another optimizer"):
        LinearWarmup(inner, 2, then=StepLR(optimizer(), 1))
    with pytest.raises(TypeError, match="a ReduceLROnPlateau does not go by steps alone"):
        LinearWarmup(inner, 2, then=ReduceLROnPlateau(inner))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="start_factor lies between 0 and 1"):
        LinearWarmup(inner, 2, start_factor=2)


def test_one_cycle() -> None:
    inner = optimizer(momentum=0.9)
    scheduler = OneCycleLR(
        inner, 1.0, total_steps=10, pct_start=0.3, anneal_strategy="linear", div_factor=10
    )
    # 0.1 at step 0, 1 at step 2, 1e-5 at step 9, in straight lines.
    expected = [0.1, 0.55, 1.0, *(1 - (1 - 1e-5) * i / 7 for i in range(1, 8))]
    assert rates(scheduler, 9) == pytest.approx(expected)
    assert inner.param_groups[0]["momentum"] == pytest.approx(0.95)
    scheduler.step()
    with pytest.raises(ValueError, match="is for 10 steps, and they are taken"):
        scheduler.step()


def test_one_cycle_of_a_cosine_in_three_phases() -> None:
    inner = Adam([Parameter([1.0])])
    scheduler = OneCycleLR(
        inner, 1.0, epochs=5, steps_per_epoch=2, pct_start=0.3, three_phase=True, div_factor=2
    )
    assert inner.param_groups[0]["betas"] == (0.95, 0.999)
    found = rates(scheduler, 9)
    assert found[:5] == pytest.approx([0.5, 0.75, 1.0, 0.75, 0.5])
    assert found[9] == pytest.approx(0.5e-4)
    assert found[4:] == sorted(found[4:], reverse=True)


def test_one_cycle_checks_its_arguments() -> None:
    with pytest.raises(ValueError, match="needs total_steps, or both epochs"):
        OneCycleLR(optimizer(), 1.0, epochs=3)
    with pytest.raises(ValueError, match="max_lr gives 2 rates for 1 groups"):
        OneCycleLR(optimizer(), [1.0, 2.0], total_steps=3)
    with pytest.raises(ValueError, match="pct_start lies between 0 and 1"):
        OneCycleLR(optimizer(), 1.0, total_steps=3, pct_start=3)
    with pytest.raises(ValueError, match="anneal_strategy is 'cos' or 'linear'"):
        OneCycleLR(optimizer(), 1.0, total_steps=3, anneal_strategy="exp")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="total_steps is a whole number of at least 1; got 0"):
        OneCycleLR(optimizer(), 1.0, total_steps=0)

    class Plain(Optimizer):
        pass

    plain = Plain([Parameter([1.0])], {"lr": 0.1})
    with pytest.raises(ValueError, match="Plain has no momentum to cycle; pass cycle_momentum"):
        OneCycleLR(plain, 1.0, total_steps=3)


def test_plateau() -> None:
    inner = optimizer()
    scheduler = ReduceLROnPlateau(inner, factor=0.5, patience=1, cooldown=1, min_lr=0.2)
    found = []
    for metric in (1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, math.nan, 0.9, 0.9, 0.9, 0.5):
        scheduler.step(metric)
        found.append(inner.param_groups[0]["lr"])
    # Two bad steps lower the rate, one is not counted, two more lower it, down to the floor.
    assert found == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2]
    assert scheduler.best == 0.5


def test_plateau_of_a_rising_metric() -> None:
    inner = optimizer()
    scheduler = ReduceLROnPlateau(
        inner, mode="max", patience=0, threshold=0.1, threshold_mode="abs"
    )
    for metric, rate in ((0.5, 1), (0.65, 1), (0.7, 0.1), (0.8, 0.1), (0.85, 0.01)):
        scheduler.step(metric)
        assert inner.param_groups[0]["lr"] == pytest.approx(rate)
    for options in ({"mode": "up"}, {"threshold_mode": "x"}, {"factor": 1.0}, {"patience": -1}):
        with pytest.raises(ValueError, match=f"ReduceLROnPlateau: {next(iter(options))} is"):
            ReduceLROnPlateau(inner, **options)  # type: ignore[arg-type]


def test_every_group_has_its_base() -> None:
    inner = SGD([{"params": [Parameter([1.0])], "lr": lr} for lr in (1.0, 0.1)])
    scheduler = StepLR(inner, 1)
    scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([0.1, 0.01])
    inner.add_param_group({"params": [Parameter([1.0])], "lr": 1.0})
    with pytest.raises(ValueError, match="has 3 groups, and had 2"):
        scheduler.step()


MAKERS: dict[str, Any] = {
    "step": lambda o: StepLR(o, 2),
    "cosine": lambda o: CosineAnnealingLR(o, 7),
    "warmup": lambda o: LinearWarmup(o, 3, then=CosineAnnealingLR(o, 4)),
    "cycle": lambda o: OneCycleLR(o, 0.5, total_steps=8),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_saved_state_goes_on(name: str) -> None:
    first = optimizer(momentum=0.9)
    scheduler = MAKERS[name](first)
    for _ in range(4):
        scheduler.step()
    saved = json.loads(json.dumps(scheduler.state_dict()))
    second = optimizer(momentum=0.9)
    resumed = MAKERS[name](second)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(saved)
    for _ in range(3):
        scheduler.step()
        resumed.step()
        assert resumed.get_last_lr() == scheduler.get_last_lr()
        assert second.param_groups[0]["momentum"] == first.param_groups[0]["momentum"]
    other = "step" if name != "step" else "cosine"
    with pytest.raises(ValueError, match=r"not the state of a|differ in what follows"):
        MAKERS[other](optimizer()).load_state_dict(saved)


def test_a_saved_plateau_goes_on() -> None:
    inner = optimizer()
    scheduler = ReduceLROnPlateau(inner, patience=2)
    for _ in range(3):
        scheduler.step(1.0)
    resumed = ReduceLROnPlateau(inner, patience=2)
    resumed.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    resumed.step(1.0)
    assert inner.param_groups[0]["lr"] == pytest.approx(0.1)


def test_schedulers_need_an_optimizer() -> None:
    for kind in (lambda o: StepLR(o, 1), ReduceLROnPlateau):
        with pytest.raises(TypeError, match="takes an optimizer, not a list"):
            kind([])
