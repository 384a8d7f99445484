"""Statistics against closed forms, against SciPy, and against simulated coverage. All seeds are fixed."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from suite.statistics import (
    MIN_VALUES,
    Interval,
    is_steady,
    median_interval,
    paired_ratio,
    percentile,
    relative_half_width,
    unpaired_ratio,
    verdict,
)

DRAWS = {
    "normal": (lambda random, n: random.normal(10, 1, n), 10.0),
    "exponential": (lambda random, n: random.exponential(1, n), math.log(2)),
    "lognormal": (lambda random, n: random.lognormal(0, 0.5, n), 1.0),
}


@pytest.mark.parametrize("count", [9, 10, 11, 20, 31, 100])
def test_agrees_with_scipys_bca(count: int) -> None:
    values = np.random.default_rng(count).lognormal(0, 0.3, count)
    ours = median_interval(values)
    theirs = stats.bootstrap((values,), np.median, method="BCa", n_resamples=19_999, rng=1, batch=2000)
    spacing = np.ptp(values) / count  # the bootstrap's ends sit on values or halfway: allow a neighbouring one
    assert ours.median == np.median(values)
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=spacing)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=spacing)


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("count", [6, 8, 10, 20, 40])
def test_95_percent_interval_covers_about_95_percent(name: str, count: int) -> None:
    draw, truth = DRAWS[name]
    random = np.random.default_rng(7)
    trials = 1200
    intervals = [median_interval(draw(random, count)) for _ in range(trials)]
    hits = sum(interval.low <= truth <= interval.high for interval in intervals)
    band = stats.binom(trials, 0.92).ppf(0.001), stats.binom(trials, 0.97).ppf(0.999)
    low, high = band if count >= 9 else (stats.binom(trials, 0.95).ppf(0.001), trials)
    assert low <= hits <= high


@pytest.mark.parametrize("count", [6, 12, 30])
def test_an_unpaired_ratio_covers_at_least_what_it_says(count: int) -> None:
    random = np.random.default_rng(11)
    trials = 600
    hits = 0
    for _ in range(trials):
        interval = unpaired_ratio(random.lognormal(0, 0.3, count), 2 * random.lognormal(0, 0.3, count))
        hits += interval.low <= 2 <= interval.high
    assert hits >= stats.binom(trials, 0.95).ppf(0.001)


def test_an_unpaired_ratio_is_that_of_the_medians_and_says_how_sure_it_is() -> None:
    interval = unpaired_ratio([1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 5.0, 7.0])
    assert interval.median == 2
    assert (interval.low, interval.high, interval.num_values) == (1.0, 7.0, 3)
    assert interval.confidence == pytest.approx((1 - 2**-4) * (1 - 2**-2))
    with pytest.raises(ValueError, match="positive"):
        unpaired_ratio([1.0, 0.0], [1.0])


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_few_values_give_their_range_and_say_what_it_covers(count: int) -> None:
    values = np.arange(count) + 1.0
    interval = median_interval(values)
    assert (interval.low, interval.high) == (1.0, count)
    assert interval.confidence == pytest.approx(1 - 2.0 ** (1 - count))


@pytest.mark.parametrize(("count", "rank"), [(6, 0), (8, 0)])
def test_order_statistics_cover_at_least_what_is_asked(count: int, rank: int) -> None:
    interval = median_interval(np.arange(count))
    assert (interval.low, interval.high) == (rank, count - 1 - rank)
    assert interval.confidence == 0.95
    assert median_interval(np.arange(8), confidence=0.9).low == 1  # 1 - 2 * 9/256 = 0.93


def test_degenerate_inputs() -> None:
    alone = median_interval([3.0])
    assert alone.median == 3.0
    assert math.isnan(alone.low)
    assert math.isnan(alone.high)
    equal = median_interval([2.5] * 20)
    assert (equal.low, equal.median, equal.high) == (2.5, 2.5, 2.5)
    nearly = median_interval([1.0] * 19 + [9.0])
    assert (nearly.low, nearly.high) == (1.0, 1.0)
    for bad in ([], [math.nan], [1.0, math.inf]):
        with pytest.raises(ValueError, match="finite"):
            median_interval(bad)


def test_order_and_scale_do_not_matter_and_results_repeat() -> None:
    values = np.random.default_rng(3).exponential(1, 17)
    first = median_interval(values)
    assert median_interval(values[::-1]) == first
    scaled = median_interval(values * 1000)
    assert scaled.low == pytest.approx(first.low * 1000)
    assert scaled.high == pytest.approx(first.high * 1000)


def test_intervals_shrink_with_the_root_of_the_number_of_values() -> None:
    random = np.random.default_rng(11)
    widths = [relative_half_width(median_interval(random.normal(10, 1, n))) for n in (100, 10_000)]
    assert widths[0] / widths[1] == pytest.approx(10, rel=0.5)


def test_paired_ratio_sees_through_a_drift_that_both_arms_share() -> None:
    random = np.random.default_rng(5)
    drift = np.linspace(1, 2, 12)  # far larger than the effect
    reference, candidate = drift * 1.10, drift * random.normal(1.0, 0.002, 12)
    speedup = paired_ratio(reference, candidate)
    assert speedup.median == pytest.approx(1.10, rel=0.01)
    assert verdict(speedup) == "FASTER"
    assert verdict(paired_ratio(candidate, reference)) == "SLOWER"


def test_paired_ratio_refuses_what_is_no_pair() -> None:
    with pytest.raises(ValueError, match="3 and 2"):
        paired_ratio([1.0, 2.0, 3.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="positive"):
        paired_ratio([1.0, 0.0], [1.0, 1.0])


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (1.03, 1.2, 10, "FASTER"),
        (0.8, 0.97, 10, "SLOWER"),
        (0.99, 1.01, 10, "SAME"),
        (1.01, 1.05, 10, "UNCLEAR"),
        (0.5, 1.5, 10, "UNCLEAR"),
        (0.95, 1.01, 10, "UNCLEAR"),
        (1.5, 1.6, MIN_VALUES - 1, "UNCLEAR"),
        (math.nan, math.nan, 10, "UNCLEAR"),
    ],
)
def test_verdict(low: float, high: float, count: int, expected: str) -> None:
    assert verdict(Interval(low, (low + high) / 2, high, count, 0.95), min_effect=0.02) == expected


def test_exchanging_the_stacks_exchanges_the_verdict() -> None:
    opposite = {"FASTER": "SLOWER", "SLOWER": "FASTER", "SAME": "SAME", "UNCLEAR": "UNCLEAR"}
    for low in np.linspace(0.9, 1.1, 21):
        for width in (0.0, 0.01, 0.05):
            ends = (float(low), float(low + width))
            forward = Interval(ends[0], sum(ends) / 2, ends[1], 9, 0.95)
            backward = Interval(1 / ends[1], 2 / sum(ends), 1 / ends[0], 9, 0.95)
            assert verdict(backward) == opposite[verdict(forward)]


def test_equal_stacks_are_almost_never_called_different() -> None:
    random = np.random.default_rng(13)
    words = [verdict(paired_ratio(*random.normal(1, 0.05, (2, 10))), min_effect=0.02) for _ in range(500)]
    assert sum(word in {"FASTER", "SLOWER"} for word in words) <= stats.binom(500, 0.05).ppf(0.999)


def test_percentiles_only_when_the_sample_carries_them() -> None:
    assert percentile(np.arange(63), 0.9) is None
    assert percentile(np.arange(64), 0.9) == pytest.approx(0.9 * 63)
    assert percentile(np.arange(64), 0.95) is None
    assert percentile(np.arange(661), 0.99) is None
    assert percentile(np.arange(662), 0.99) == pytest.approx(0.99 * 661)
    assert percentile(np.arange(63), 0.1) is None
    assert percentile(np.arange(10_000), 0.999) is None
    assert percentile([4.0], 0.5) == 4.0


def test_steady_when_trials_stop_getting_faster() -> None:
    assert not is_steady([10.0])
    assert not is_steady([10.0, 5.0, 3.0, 2.5])
    assert not is_steady([10.0, 3.0, 3.0])
    assert is_steady([10.0, 3.01, 2.99, 3.0, 3.0])
    assert is_steady([1.0, 1.1, 1.2, 1.3])
    assert is_steady([1.0, 1.0, 5.0, 1.0])
    geometric = [2.0 * 0.5**n + 1.0 for n in range(20)]
    first = next(n for n in range(20) if is_steady(geometric[: n + 1], tolerance=0.02))
    assert geometric[first] < 1.02


def test_half_width() -> None:
    assert relative_half_width(Interval(9.0, 10.0, 12.0, 10, 0.95)) == pytest.approx(0.15)
    assert relative_half_width(median_interval([1.0, 1.0])) == math.inf


def test_imports_neither_scipy_nor_anything_of_ours() -> None:
    code = "import sys, suite.statistics; print([m for m in sys.modules if m.startswith(('scipy', 'suite.', 'torch'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['suite.statistics']"
