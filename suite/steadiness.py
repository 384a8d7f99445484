"""Whether the trials of a run are of one kind: steps, drift and mixed regimes in a series of times.

An interval of a median is honest where trials are exchangeable. A neighbour on the machine, a throttling chip or a cache that
still fills makes them differ in time, and then the number depends on how many of which kind were taken.

    trials in order --scan of all stretches--> regimes --> the trials that count, and why the others do not

Times are compared as logarithms, so that a factor weighs the same at any length. Behind `assess` are three tests, each held to
half a percent of false alarms or so (`benchmarks/steadiness.py` measures it): a stretch apart from the rest (change-point, or
an epidemic alternative: Levin & Kline 1985, Statistics in Medicine 4, 469-488), a trend (Mann 1945, Econometrica 13, 245-259),
and two clusters that take turns. Each also needs an effect of at least the tolerance, since what is surely there may matter to
nobody.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from suite.statistics import MIN_VALUES, Values

Kind = Literal["steady", "step", "drift", "mixed"]
Logs: TypeAlias = "NDArray[np.float64]"

LEAST_STRETCH = 2
"""One trial that differs is an outlier, which a median bears."""
SHORTEST_SHARE = 0.15
"""A stretch shorter than this share of the trials moves no median by much."""
APART = 0.85
"""Probability that a trial of a stretch is beyond one outside: two outliers within ten trials do not reach it."""
TOLERANCE = 0.05
"""Least relative difference that makes two regimes, and the number of a run another."""
STEP_SIGMAS = {5: 25.0, 6: 16.0, 7: 12.0, 8: 10.0, 10: 9.5, 15: 9.0, 30: 8.5, 50: 8.0}
"""By how many standard errors the stretch that stands out most must do so, for a number of trials; linear between.

The best of all stretches stands out by chance, too, and by more where few trials tell the noise. These are at or above its 99 %
quantiles in simulated steady trials, normal ones and such with Student's three degrees of freedom.
"""
TREND_SIGMAS = 3.0
CLUSTER_SIGMAS = 6.0
_MIXED_MIN_VALUES = 12
_CANDIDATES = 64
_KEPT = 0.8
_KEPT_MEAN = 0.5585
"""The smaller four fifths of a normal variable's absolute values have this mean, in standard deviations."""


@dataclass(frozen=True, slots=True)
class Regime:
    """A stretch of trials that are alike, by index; `last` is in it. Unit of the median: that of the values."""

    first: int
    last: int
    median: float

    @property
    def size(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Steadiness:
    """What a series of trials is like."""

    kind: Kind
    regimes: tuple[Regime, ...]
    """In order; more than one only for a step."""
    counted: NDArray[np.bool_]
    """Which trials the number is of: all, but for a step those of the regime that `assess` tells."""
    ratio: float
    """The slowest over the fastest: of regimes, of clusters, or of a drift's two ends. 1 where the trials are steady."""

    @property
    def is_steady(self) -> bool:
        return self.kind == "steady"

    @property
    def slower(self) -> NDArray[np.bool_]:
        """Which trials are of a slower regime than the fastest, however few that one has."""
        least = min((regime.median for regime in self.regimes), default=0.0) * (1 + TOLERANCE)
        found = np.zeros(self.counted.size, dtype=bool)
        for regime in self.regimes:
            found[regime.first : regime.last + 1] = regime.median >= least
        return found


def assess(values: Values, tolerance: float = TOLERANCE, *, latest: bool = False) -> Steadiness:
    """What a series of positive times is like, in the order in which they were taken.

    Other work on a machine only ever adds time, so after a step the fastest regime counts that has enough trials
    (`MIN_VALUES`), with all regimes as fast. `latest` counts the last such one instead: a chip that gets hot slows down to what
    it can sustain. Where no regime has enough trials, all count.

    Args:
        values: times of trials; fewer than `MIN_VALUES` are taken for steady, as they tell nothing.
        tolerance: the least relative difference that matters.

    Raises:
        ValueError: a value that is not positive and finite.
    """
    times = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(times).all() and (times > 0).all()):
        raise ValueError("steadiness is told of positive finite times")
    logs = np.log(times)
    everything = np.ones(times.size, dtype=bool)
    whole = (Regime(0, times.size - 1, float(np.median(times))),) if times.size else ()
    if times.size < MIN_VALUES:
        return Steadiness("steady", whole, everything, 1.0)
    effect = math.log1p(tolerance)
    if float(np.ptp(logs)) < effect:
        return Steadiness("steady", whole, everything, 1.0)
    starts = [0, *_change_points(logs, effect)]
    trend = _trend(logs, effect)
    if len(starts) > 1 and not _is_line(logs, starts, trend):
        regimes = tuple(_regimes(times, starts))
        medians = [regime.median for regime in regimes]
        return Steadiness("step", regimes, _counted(regimes, times.size, effect, latest), max(medians) / min(medians))
    if trend:
        return Steadiness("drift", whole, everything, math.exp(abs(trend)))
    apart = _clusters(logs, effect)
    if apart:
        return Steadiness("mixed", whole, everything, math.exp(apart))
    return Steadiness("steady", whole, everything, 1.0)


def _change_points(logs: Logs, effect: float, offset: int = 0) -> list[int]:
    """Where new regimes begin, in order: the stretch that differs most from the rest, and so on within what is left."""
    found = _stretch(logs, effect)
    if found is None:
        return []
    first, end = found
    cuts = [0, *(cut for cut in (first, end) if 0 < cut < logs.size), logs.size]
    points = [offset + cut for cut in cuts[1:-1]]
    for start, stop in pairwise(cuts):
        if stop - start >= 2 * LEAST_STRETCH + 1:
            points += _change_points(logs[start:stop], effect, offset + start)
    return sorted(points)


def _stretch(logs: Logs, effect: float) -> tuple[int, int] | None:
    """First trial and end of the stretch that surely stands apart and leaves the least unexplained, if there is one."""
    count = logs.size
    least = max(LEAST_STRETCH, math.ceil(SHORTEST_SHARE * count))
    first, end = np.triu_indices(count + 1, k=least)
    size = end - first
    usable = count - size >= least
    first, end, size = first[usable], end[usable], size[usable]
    if not size.size:
        return None
    ranks = np.concatenate([[0.0], np.cumsum(_midranks(logs))])
    beyond = (ranks[end] - ranks[first] - size * (size + 1) / 2) / (size * (count - size))
    sums = np.concatenate([[0.0], np.cumsum(logs)])
    inside = (sums[end] - sums[first]) / size
    outside = (sums[-1] - sums[end] + sums[first]) / (count - size)
    weight = np.sqrt(size * (count - size) / count)
    separate = np.maximum(beyond, 1 - beyond) >= APART
    score = np.where(separate, np.abs(inside - outside) * weight, -1.0)
    needed = float(np.interp(count, list(STEP_SIGMAS), list(STEP_SIGMAS.values())))
    best, least_left = None, math.inf
    for index in np.argsort(-score)[: min(int(separate.sum()), _CANDIDATES)]:
        chosen = np.zeros(count, dtype=bool)
        chosen[first[index] : end[index]] = True
        groups = logs[chosen], logs[~chosen]
        apart, noise = _between(*groups), _noise(*groups)
        left = float(sum(np.abs(group - np.median(group)).sum() for group in groups))
        if apart >= effect and apart * weight[index] > needed * noise and left < least_left:
            best, least_left = (int(first[index]), int(end[index])), left
    return best


def _between(one: Logs, other: Logs) -> float:
    """Distance of two medians; of two middle values the one that is nearer, so that one outlier is no median of two."""
    slow, fast = (one, other) if np.median(one) > np.median(other) else (other, one)
    slow, fast = np.sort(slow), np.sort(fast)
    return float(slow[(slow.size - 1) // 2] - fast[fast.size // 2])


def _noise(*groups: Logs) -> float:
    """Standard deviation of a trial within groups, from the smaller deviations, so that outliers do not hide a step."""
    deviations = np.sort(np.concatenate([np.abs(group - np.median(group)) for group in groups]))
    kept = deviations[: math.ceil(_KEPT * deviations.size)]
    return float(kept.mean()) / _KEPT_MEAN


def _midranks(values: Logs) -> Logs:
    """Ranks from 1; equal values share the middle one."""
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, "left")
    return (below + np.searchsorted(ordered, values, "right") + 1) / 2


def _trend(logs: Logs, effect: float) -> float:
    """Change from the first trial to the last by the median of pairwise slopes (Sen 1968); 0 where it is no trend."""
    count = logs.size
    first, second = np.triu_indices(count, k=1)
    rises = logs[second] - logs[first]
    balance = abs(float(np.sign(rises).sum()))
    sigma = math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    change = float(np.median(rises / (second - first))) * (count - 1)
    return change if balance - 1 > TREND_SIGMAS * sigma and abs(change) >= effect else 0.0


def _is_line(logs: Logs, starts: Sequence[int], trend: float) -> bool:
    """Whether a straight line tells the trials better than levels do."""
    if not trend:
        return False
    steady = logs - trend * np.arange(logs.size) / (logs.size - 1)
    line = np.abs(steady - np.median(steady)).sum()
    stretches = np.split(logs, list(starts[1:]))
    return line < sum(np.abs(stretch - np.median(stretch)).sum() for stretch in stretches)


def _clusters(logs: Logs, effect: float) -> float:
    """Distance of the medians of two clusters that take turns; 0 where there is one cloud."""
    count = logs.size
    if count < _MIXED_MIN_VALUES:
        return 0.0
    ordered = np.sort(logs)
    least = max(LEAST_STRETCH, math.ceil(count / 5))
    split = least + int(np.argmax(np.diff(ordered)[least - 1 : count - least]))
    low, high = ordered[:split], ordered[split:]
    within = math.sqrt((low.var() * low.size + high.var() * high.size) / (count - 2))
    apart = float(np.median(high) - np.median(low))
    gap = float(high[0] - low[-1])
    return apart if apart >= effect and gap > CLUSTER_SIGMAS * within else 0.0


def _regimes(times: NDArray[np.float64], starts: Sequence[int]) -> Iterator[Regime]:
    for first, end in zip(starts, [*starts[1:], times.size], strict=True):
        yield Regime(first, end - 1, float(np.median(times[first:end])))


def _counted(regimes: Sequence[Regime], count: int, effect: float, latest: bool) -> NDArray[np.bool_]:
    order = list(reversed(regimes)) if latest else sorted(regimes, key=lambda regime: regime.median)
    for chosen in order:
        alike = [one for one in regimes if abs(math.log(one.median / chosen.median)) < effect]
        if sum(one.size for one in alike) >= MIN_VALUES:
            counted = np.zeros(count, dtype=bool)
            for one in alike:
                counted[one.first : one.last + 1] = True
            return counted
    return np.ones(count, dtype=bool)


def pairs_carry(reference: Values, candidate: Values) -> bool:
    """Whether two interleaved series compare the same way throughout, whatever the machine did to both.

    What hits both trials of a round leaves their ratio as it is. A ratio that steps or drifts depends on when one looked.
    """
    top, bottom = np.asarray(reference, dtype=np.float64), np.asarray(candidate, dtype=np.float64)
    return assess(top / bottom).is_steady
