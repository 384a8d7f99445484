"""Statistics of repeated trials: the median, how well it is known, and whether two stacks really differ.

The measuring loop calls this after every round and reports call it thousands of times, so the bootstrap is
closed-form in its inner part (see `_middle_ranks`): microseconds a call, no SciPy, and the same input always gives
the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = "Sequence[float] | NDArray[np.float64]"
Verdict = Literal["FASTER", "SLOWER", "SAME", "UNCLEAR"]

NUM_RESAMPLES = 9999
SEED = 20231214

MIN_VALUES = 5
"""Fewer values than this say too little for a verdict: even their whole range misses the median more than once in
ten.
"""

_MIN_BOOTSTRAP_VALUES = 9
"""Below this the bootstrap of a median is too narrow (86 % for seven values), so exact order statistics take its
place.
"""

_NUM_SAMPLES_FOR_PERCENTILE = ((0.5, 1), (0.9, 64), (0.99, 662))
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Interval:
    """A median and the interval that holds the true median with the stated confidence. Unit: that of the values."""

    low: float
    median: float
    high: float
    num_values: int
    confidence: float
    """The coverage that is really claimed; below the one asked for where the values are too few to give it."""


def median_interval(values: Values, confidence: float = 0.95) -> Interval:
    """Median with a BCa bootstrap interval.

    Bias-corrected and accelerated bootstrap: Efron 1987, "Better Bootstrap Confidence Intervals", JASA 82, 171-185.
    Of a nominal 95 % it really covers 92 to 96 % for 9 to 50 values of normal, exponential or log-normal data (the
    test simulates it). Below nine values the bootstrap of a median covers too little, so the interval is then made of
    order statistics, whose coverage is exact for every continuous distribution (David & Nagaraja 2003, "Order
    Statistics", section 7.1). Up to five values that is their range, which covers 1 - 2^(1-n): the result's
    `confidence` says so. One value gives an interval of NaN, since it says nothing about its own spread. Values that
    are all equal give an interval of no width.

    Raises:
        ValueError: no values, or one that is not finite.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    count = ordered.size
    if count == 0 or not np.isfinite(ordered).all():
        raise ValueError(f"a median needs finite values, got {count} of which {np.isfinite(ordered).sum()} are finite")
    middle = float(np.median(ordered))
    if count == 1:
        return Interval(math.nan, middle, math.nan, 1, 0.0)
    if count < _MIN_BOOTSTRAP_VALUES:
        rank, coverage = _order_statistic_rank(count, confidence)
        low, high = ordered[rank], ordered[count - 1 - rank]
        return Interval(float(low), middle, float(high), count, min(coverage, confidence))
    low, high = _bca(ordered, middle, confidence)
    return Interval(low, middle, high, count, confidence)


def paired_ratio(reference: Values, candidate: Values, confidence: float = 0.95) -> Interval:
    """Speed-up of `candidate` over `reference`: the median of reference / candidate, taken pair by pair.

    Pairing by trial removes what both share (clock drift, a noisy neighbour), which is why trials are interleaved: a
    paired design (Box, Hunter & Hunter 2005, "Statistics for Experimenters", chapter 3).

    Args:
        reference: times in seconds, one a trial.
        candidate: times in seconds of the same trials, in the same order.

    Raises:
        ValueError: different lengths, or a time that is not positive.
    """
    top, bottom = np.asarray(reference, dtype=np.float64), np.asarray(candidate, dtype=np.float64)
    if top.shape != bottom.shape:
        raise ValueError(f"pairs need as many references as candidates, got {top.size} and {bottom.size}")
    if (top <= 0).any() or (bottom <= 0).any():
        raise ValueError("a ratio of times needs positive times")
    return median_interval(top / bottom, confidence)


def unpaired_ratio(reference: Values, candidate: Values, confidence: float = 0.95) -> Interval:
    """Median of `candidate` over median of `reference`, from trials that have nothing to do with each other.

    The two intervals are independent, so each at the square root of the confidence holds both medians at once with that
    confidence, and then their quotient lies between the quotients of their ends. Wider than need be, never too narrow; what
    differs between two processes or two days is in neither interval. `num_values` is that of the smaller sample.

    Raises:
        ValueError: no values, or one that is not positive.
    """
    samples = [np.asarray(values, dtype=np.float64) for values in (reference, candidate)]
    if any((sample <= 0).any() for sample in samples):
        raise ValueError("a ratio needs positive values")
    below, above = (median_interval(sample, math.sqrt(confidence)) for sample in samples)
    return Interval(
        above.low / below.high,
        above.median / below.median,
        above.high / below.low,
        min(below.num_values, above.num_values),
        below.confidence * above.confidence,
    )


def verdict(speedup: Interval, min_effect: float = 0.02) -> Verdict:
    """What an interval of speed-ups allows one to say.

    FASTER: all of it above 1 + `min_effect`. SLOWER: all of it below 1 / (1 + `min_effect`); the reciprocal, so that
    exchanging the two stacks exchanges the two words. SAME: all of it between those bounds. UNCLEAR: it crosses a
    bound, or there are fewer than `MIN_VALUES` pairs. Deciding by interval and equivalence band rather than by a
    difference of means: Schuirmann 1987, "A comparison of the two one-sided tests procedure", J. Pharmacokinet.
    Biopharm. 15, 657-680.
    """
    upper = 1.0 + min_effect
    lower = 1.0 / upper
    if speedup.num_values < MIN_VALUES:
        return "UNCLEAR"
    if speedup.low > upper:
        return "FASTER"
    if speedup.high < lower:
        return "SLOWER"
    if speedup.low >= lower and speedup.high <= upper:
        return "SAME"
    return "UNCLEAR"


def percentile(values: Values, quantile: float) -> float | None:
    """A percentile, or None where the sample is too small to carry it.

    p90 needs 64 values and p99 needs 662: the least that MLPerf's early stopping accepts (MLCommons, "MLPerf Inference
    Rules", appendix on early stopping). Beyond p99 nothing is given. Linear interpolation between order statistics
    (Hyndman & Fan 1996, American Statistician 50, definition 7).
    """
    data = np.asarray(values, dtype=np.float64)
    extremity = max(quantile, 1.0 - quantile)
    needed = next((count for level, count in _NUM_SAMPLES_FOR_PERCENTILE if extremity <= level), None)
    if needed is None or data.size < needed:
        return None
    return float(np.quantile(data, quantile))


def is_steady(trials: Values, tolerance: float = 0.02, window: int = 4) -> bool:
    """Whether the last `window` trials have stopped getting faster, i.e. whether warm-up may end.

    The trend is the median of all pairwise slopes (Theil-Sen: Sen 1968, JASA 63, 1379-1389), which one outlier cannot
    tip. Steady: over the window it falls by at most `tolerance` of the window's median. Getting *slower* (a throttling
    chip) counts as steady: warm-up would not cure it. Fewer trials than the window are never steady.
    """
    recent = np.asarray(trials, dtype=np.float64)[-window:]
    if recent.size < max(window, 2):
        return False
    first, second = np.triu_indices(recent.size, k=1)
    slope = float(np.median((recent[second] - recent[first]) / (second - first)))
    return -slope * (recent.size - 1) <= tolerance * float(np.median(recent))


def relative_half_width(interval: Interval) -> float:
    """Half the interval's width as a share of its median: the noise a stopping rule compares with its target.

    Infinite below `MIN_VALUES` values, so that no loop stops on two trials that agree by chance.
    """
    if interval.num_values < MIN_VALUES or interval.median == 0:
        return math.inf
    return (interval.high - interval.low) / 2 / abs(interval.median)


def _order_statistic_rank(count: int, confidence: float) -> tuple[int, float]:
    """Rank r (from 0) of the narrowest interval x[r] .. x[n-1-r] that covers the median often enough, and its coverage.

    It misses when at most r values lie on one side, which has twice the probability Binomial(n, 1/2) <= r.
    """
    missed = np.cumsum([2 * math.comb(count, k) / 2**count for k in range(count // 2)])
    rank = max(int(np.searchsorted(missed, 1 - confidence, side="right")) - 1, 0)
    return rank, float(1 - missed[rank])


def _bca(ordered: NDArray[np.float64], middle: float, confidence: float) -> tuple[float, float]:
    lower, upper, times = _middle_ranks(ordered.size)
    medians = (ordered[lower] + ordered[upper]) / 2
    order = np.argsort(medians, kind="stable")
    medians, upto = medians[order], np.concatenate([[0], np.cumsum(times[order])])
    below = upto[np.searchsorted(medians, middle, "left")] + upto[np.searchsorted(medians, middle, "right")]
    share = min(max(below / 2 / NUM_RESAMPLES, 1 / NUM_RESAMPLES), 1 - 1 / NUM_RESAMPLES)
    bias = _NORMAL.inv_cdf(share)
    acceleration = _acceleration(ordered)
    ends = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        shifted = bias + _NORMAL.inv_cdf(tail)
        ends.append(_NORMAL.cdf(bias + shifted / (1 - acceleration * shifted)))
    low, high = (_quantile(medians, upto, end) for end in ends)
    return low, high


def _quantile(values: NDArray[np.float64], upto: NDArray[np.intp], share: float) -> float:
    """Quantile, linear between neighbours, of values in ascending order; ``upto[i]`` values come before the i-th."""
    place = share * (NUM_RESAMPLES - 1)
    below = int(place)
    neighbours = np.searchsorted(upto, (below, min(below + 1, NUM_RESAMPLES - 1)), "right") - 1
    low, high = values[neighbours].tolist()
    return low + (high - low) * (place - below)


@lru_cache(maxsize=256)
def _middle_ranks(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Ranks (from 0) of the two middle values of resamples of `count` values, and how many resamples have these.

    A resample's values are x[floor(n U)] with uniform U, so its middle ones are those of the middle order statistics
    of n
    uniforms: U(k) ~ Beta(k, n + 1 - k), and the gap above it is a Beta(1, n - k) share of the rest (David & Nagaraja
    2003, section 2.2). Drawing these two replaces drawing and sorting n numbers a resample, and only n matters, so it
    is cached.
    """
    random = np.random.default_rng(SEED)
    k = (count + 1) // 2
    low = random.beta(k, count + 1 - k, NUM_RESAMPLES)
    high = low if count % 2 else low + (1 - low) * random.beta(1, count - k, NUM_RESAMPLES)
    last = count - 1
    ranks = np.minimum((np.stack([low, high]) * count).astype(np.intp), last)
    pairs, times = np.unique(ranks, axis=1, return_counts=True)
    return pairs[0], pairs[1], times


def _acceleration(ordered: NDArray[np.float64]) -> float:
    """Skewness of the jackknife medians over six (Efron 1987, equation 7.3); 0 where they do not vary."""
    count = ordered.size
    left_out = np.arange(count)
    low, high = (count - 2) // 2, (count - 1) // 2
    jackknife = (ordered[low + (left_out <= low)] + ordered[high + (left_out <= high)]) / 2
    deviation = jackknife.mean() - jackknife
    variance = float(np.sum(deviation**2))
    if variance == 0:
        return 0.0
    return float(np.sum(deviation**3)) / (6 * variance**1.5)
