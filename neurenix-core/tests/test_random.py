"""Random numbers: reproducible, independent of the device, and distributed as they should."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix as nx
from neurenix.errors import ShapeError
from neurenix.random import default_generator


def test_a_seed_gives_the_same_numbers() -> None:
    nx.manual_seed(7)
    first = [nx.rand(5).tolist(), nx.randn(5).tolist()]
    nx.manual_seed(7)
    assert [nx.rand(5).tolist(), nx.randn(5).tolist()] == first
    nx.manual_seed(8)
    assert nx.rand(5).tolist() != first[0]


def test_draws_differ_and_states_restore() -> None:
    generator = nx.Generator(1)
    a = nx.rand(4, generator=generator).tolist()
    state = generator.get_state()
    b = nx.rand(4, generator=generator).tolist()
    assert a != b
    generator.set_state(state)
    assert nx.rand(4, generator=generator).tolist() == b


def test_a_longer_draw_starts_with_the_shorter() -> None:
    assert nx.rand(9, generator=nx.Generator(3)).tolist()[:4] == (
        nx.rand(4, generator=nx.Generator(3)).tolist()
    )


def test_forks_depend_on_their_keys_alone() -> None:
    generator = nx.Generator(5)
    before = nx.rand(3, generator=generator.fork(1, 2)).tolist()
    nx.rand(100, generator=generator)
    assert nx.rand(3, generator=generator.fork(1, 2)).tolist() == before
    assert nx.rand(3, generator=generator.fork(2, 1)).tolist() != before
    assert nx.rand(3, generator=nx.Generator(6).fork(1, 2)).tolist() != before


def test_a_given_generator_leaves_the_default_alone() -> None:
    state = default_generator().get_state()
    nx.randn(3, generator=nx.Generator(1))
    assert default_generator().get_state() == state


def test_uniform_numbers_are_multiples_of_2_to_the_minus_24() -> None:
    x = nx.rand(20_000, generator=nx.Generator(0)).numpy()
    assert x.dtype == np.float32
    assert x.min() >= 0
    assert x.max() < 1
    np.testing.assert_array_equal(x * 2**24, np.floor(x * 2**24))
    counts, _ = np.histogram(x, 10, (0, 1))
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000)


def test_normal_numbers_have_the_moments_of_the_normal_distribution() -> None:
    x = nx.randn(40_000, generator=nx.Generator(0)).numpy().astype(np.float64)
    assert np.isfinite(x).all()
    assert abs(x.mean()) < 5 / np.sqrt(40_000)
    assert abs(x.var() - 1) < 0.04
    assert abs((x**4).mean() - 3) < 0.2


def test_integers_cover_their_range() -> None:
    x = nx.randint(-2, 3, (5000,), generator=nx.Generator(0))
    assert x.dtype == nx.int64
    values, counts = np.unique(x.numpy(), return_counts=True)
    assert values.tolist() == [-2, -1, 0, 1, 2]
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000)
    for low, high in [(3, 3), (4, 1), (0, 2**32)]:
        with pytest.raises(ShapeError, match="randint needs low < high"):
            nx.randint(low, high, (1,))


def test_permutations_are_permutations() -> None:
    x = nx.randperm(100, generator=nx.Generator(0)).numpy()
    assert sorted(x) == list(range(100))
    assert x.tolist() != list(range(100))


def test_negative_and_large_seeds_are_seeds() -> None:
    seeds = [-1, 0, 1, 2**40, 2**40 + 1]
    assert len({tuple(nx.rand(2, generator=nx.Generator(s)).tolist()) for s in seeds}) == 5


def test_known_answers_do_not_change_between_versions() -> None:
    generator = nx.Generator(42)
    assert nx.randint(0, 1000, (6,), generator=generator).tolist() == KNOWN_INTEGERS
    np.testing.assert_allclose(nx.rand(3, generator=generator).numpy(), KNOWN_UNIFORM, rtol=1e-7)


KNOWN_INTEGERS = [869, 310, 150, 992, 520, 106]
KNOWN_UNIFORM = [0.9013317227363586, 0.9628047943115234, 0.7015239000320435]


def test_numpy_integers_seed_and_fork_like_pythons() -> None:
    for seed, key in [(5, 7), (-5, 7)]:
        plain = nx.Generator(seed).fork(key, "augment")
        assert nx.Generator(np.int64(seed)).fork(np.int64(key), "augment").get_state() == (
            plain.get_state()
        )
    with pytest.raises(TypeError):
        nx.Generator(1.5)
    with pytest.raises(TypeError):
        nx.Generator(1).fork(0.5)
