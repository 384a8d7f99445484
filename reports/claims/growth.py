"""How numbers grow over a sweep: the exponent between two points, and where one series overtakes another."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.claims.evidence import Case, Evidence

MIN_SIZES = 3


def by_size(evidence: Evidence, workload: str, stack: str, key: str) -> Iterator[list[tuple[float, Case]]]:
    """Sweeps of one workload and stack over a number of the request, smallest first, of `MIN_SIZES` or more.

    Runs of a sweep differ in nothing else of the request; images are square.
    """
    sweeps: dict[tuple[str, ...], dict[float, Case]] = defaultdict(dict)
    for case in evidence.swept:
        if (case.workload, case.stack) != (workload, stack):
            continue
        request = dict(case.request)
        size = request.pop(key, None)
        if key == "height" and request.get("width") == size:  # a square image has one side
            request.pop("width")
        if size is not None:
            others = tuple(f"{name}={request[name]}" for name in sorted(request))
            sweeps[others][float(size)] = case
    for cases in sweeps.values():
        if len(cases) >= MIN_SIZES:
            yield sorted(cases.items(), key=lambda item: item[0])


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Of a power law through the first and the last point."""
    return math.log(values[-1] / values[0]) / math.log(sizes[-1] / sizes[0])


def overtaking(sizes: Sequence[float], late: Sequence[float], early: Sequence[float]) -> float | None:
    """The size from which `late` exceeds `early`, both being power laws between neighbouring points; None: never."""
    gaps = [math.log(first / second) for first, second in zip(late, early, strict=True)]
    for index in range(1, len(sizes)):
        before, after = gaps[index - 1], gaps[index]
        if before <= 0 < after:
            share = before / (before - after)
            return sizes[index - 1] * (sizes[index] / sizes[index - 1]) ** share
    return None
