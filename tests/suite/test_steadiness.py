"""Steadiness: planted steps, drifts and turns are told with the trials that count; noise and single outliers are not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from suite.steadiness import assess, pairs_carry

Floats = NDArray[np.float64]


def noise(count: int, spread: float = 0.02, seed: int = 0) -> Floats:
    return np.exp(np.random.default_rng(seed).normal(0.0, spread, count))


def stretched(count: int, first: int, end: int, factor: float, *, spread: float = 0.02, seed: int = 0) -> Floats:
    values = noise(count, spread, seed)
    values[first:end] *= factor
    return values


def neighbour(num_bad: int) -> Floats:
    """Seconds as a neighbour on one core made them: 26 to 35 while it worked, 0.65 to 0.84 afterwards, 30 in all."""
    random = np.random.default_rng(1)
    return np.concatenate([random.uniform(26, 35, num_bad), random.uniform(0.65, 0.84, 30 - num_bad)])


@pytest.mark.parametrize("num_bad", [8, 16, 22, 25])
def test_after_a_neighbour_left_the_quiet_trials_count(num_bad: int) -> None:
    found = assess(neighbour(num_bad))
    assert (found.kind, [regime.size for regime in found.regimes]) == ("step", [num_bad, 30 - num_bad])
    assert np.flatnonzero(found.counted).tolist() == list(range(num_bad, 30))
    assert found.ratio == pytest.approx(
        np.median(neighbour(num_bad)[:num_bad]) / np.median(neighbour(num_bad)[num_bad:])
    )
    assert np.flatnonzero(found.slower).tolist() == list(range(num_bad))


def test_too_few_quiet_trials_are_told_but_are_no_number() -> None:
    found = assess(neighbour(27)[18:])
    assert (found.kind, [regime.size for regime in found.regimes]) == ("step", [9, 3])
    assert np.flatnonzero(found.slower).tolist() == list(range(9))
    assert np.flatnonzero(found.counted).tolist() == list(range(9))
    assert assess(np.concatenate([neighbour(28)[25:], 200 * noise(4)])).counted.all()


def test_a_disturbance_in_the_middle_leaves_both_sides() -> None:
    found = assess(stretched(30, 10, 16, 1.5))
    assert [(regime.first, regime.last) for regime in found.regimes] == [(0, 9), (10, 15), (16, 29)]
    assert np.flatnonzero(~found.counted).tolist() == list(range(10, 16))


def test_what_slows_down_for_good_counts_at_the_pace_that_it_keeps() -> None:
    values = stretched(30, 12, 30, 1.3)
    assert np.flatnonzero(assess(values, latest=True).counted).tolist() == list(range(12, 30))
    assert np.flatnonzero(assess(values).counted).tolist() == list(range(12))


def test_drift_is_told_apart_from_a_step() -> None:
    found = assess(noise(30, 0.01) * np.linspace(1.0, 1.4, 30))
    assert (found.kind, len(found.regimes)) == ("drift", 1)
    assert found.ratio == pytest.approx(1.4, rel=0.05)
    assert found.counted.all()


def test_two_speeds_that_take_turns_are_mixed() -> None:
    turns = np.where(np.arange(30) % 3 == 0, 1.6, 1.0)
    found = assess(noise(30) * turns)
    assert found.kind == "mixed"
    assert found.ratio == pytest.approx(1.6, rel=0.05)


@pytest.mark.parametrize("count", [10, 20, 30, 50])
def test_one_outlier_is_none_of_it(count: int) -> None:
    for place in range(count):
        assert assess(stretched(count, place, place + 1, 5.0, seed=1)).is_steady, place


@pytest.mark.parametrize("count", [10, 20, 50])
def test_false_alarms_are_rare_whatever_the_noise(count: int) -> None:
    random = np.random.default_rng(count)
    draws = [
        [np.exp(random.normal(0, spread, count)) for spread in (0.01, 0.05, 0.15) for _ in range(100)],
        [np.exp(0.03 * random.standard_t(3, count)) for _ in range(300)],
    ]
    for series in draws:
        assert sum(not assess(values).is_steady for values in series) <= 0.02 * len(series)


@pytest.mark.parametrize(("count", "spread"), [(10, 0.02), (20, 0.05), (30, 0.05), (50, 0.05)])
def test_steps_of_a_fifth_of_the_trials_are_found(count: int, spread: float) -> None:
    random = np.random.default_rng(count)
    length = count // 5
    first = random.integers(0, count - length + 1, 200)
    missed = [
        seed
        for seed, start in enumerate(first)
        if assess(stretched(count, start, start + length, 1.5, spread=spread, seed=seed)).is_steady
    ]
    assert len(missed) <= 10, missed


def test_what_is_within_the_tolerance_matters_to_nobody() -> None:
    assert assess(stretched(30, 0, 15, 1.04, spread=0.001)).is_steady
    assert assess(stretched(30, 0, 15, 1.04, spread=0.001), tolerance=0.03).kind == "step"


def test_few_trials_tell_nothing() -> None:
    for values in ([], [1.0], [1.0, 9.0, 1.0, 9.0]):
        found = assess(values)
        assert found.is_steady
        assert found.counted.size == len(values)
        assert found.counted.all()


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_times_are_positive(value: float) -> None:
    with pytest.raises(ValueError, match="positive finite times"):
        assess([1.0, 1.0, value])


def test_pairs_carry_a_comparison_through_what_hits_both() -> None:
    machine = stretched(30, 0, 10, 20.0)
    assert pairs_carry(machine * noise(30, seed=1), 1.1 * machine * noise(30, seed=2))
    assert not pairs_carry(machine, noise(30, seed=2))
