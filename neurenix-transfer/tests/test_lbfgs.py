"""L-BFGS finds minima."""

from __future__ import annotations

import numpy as np
import pytest

from neurenix_transfer.lbfgs import minimize


def rosenbrock(x):
    first, second = x[:-1], x[1:]
    grad = np.zeros_like(x)
    grad[:-1] = -400 * first * (second - first**2) - 2 * (1 - first)
    grad[1:] += 200 * (second - first**2)
    return float((100 * (second - first**2) ** 2 + (1 - first) ** 2).sum()), grad


@pytest.mark.parametrize("size", [2, 10])
def test_the_bent_valley_of_rosenbrock(size):
    start = np.full(size, -1.2)
    found = minimize(rosenbrock, start, tolerance=1e-8)
    assert found.converged
    assert found.gradient <= 1e-8
    np.testing.assert_allclose(found.x, 1.0, atol=1e-6)
    assert (start == -1.2).all()
    # About what other implementations take; steepest descent would take thousands.
    assert found.iterations < 120
    assert found.evaluations < 2 * found.iterations


def test_a_quadratic_of_as_many_numbers_as_are_remembered():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(8, 8))
    matrix, target = root @ root.T + np.eye(8), rng.normal(size=8)

    def quadratic(x):
        return float(0.5 * x @ matrix @ x - target @ x), matrix @ x - target

    found = minimize(quadratic, np.zeros(8), tolerance=1e-10)
    np.testing.assert_allclose(found.x, np.linalg.solve(matrix, target), atol=1e-8)


def test_a_first_step_far_too_long_or_too_short_is_mended():
    for scale in (1e-6, 1e6):

        def bowl(x, scale=scale):
            u = x / scale
            return float(np.logaddexp(u, -u).sum()), np.tanh(u) / scale

        found = minimize(bowl, np.full(3, 5.0 * scale), tolerance=1e-9 / scale)
        assert found.converged
        np.testing.assert_allclose(found.x / scale, 0.0, atol=1e-8)


def test_values_that_are_no_numbers_are_stepped_back_from():
    def barrier(x):
        with np.errstate(invalid="ignore", divide="ignore"):
            return float((x - np.log(x)).sum()), 1.0 - 1.0 / x

    found = minimize(barrier, np.array([0.01, 40.0]), tolerance=1e-8)
    np.testing.assert_allclose(found.x, 1.0, atol=1e-6)


def test_at_the_minimum_nothing_is_done():
    found = minimize(rosenbrock, np.ones(4))
    assert (found.iterations, found.evaluations, found.converged) == (0, 1, True)


def test_it_ends_where_the_values_have_no_more_digits():
    found = minimize(lambda x: (1e8 + float(x @ x), 2 * x), np.full(3, 3.0), tolerance=0.0)
    assert found.iterations < 50
    np.testing.assert_allclose(found.x, 0.0, atol=1e-3)


def test_the_largest_number_of_steps_is_kept():
    found = minimize(rosenbrock, np.full(10, -1.2), max_iterations=5)
    assert (found.iterations, found.converged) == (5, False)
