"""Verdicts: a published number beside ours, by the tolerance that the claim states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from reports.claims.claim import Claim, Number, Relation
from reports.claims.evidence import Reading
from suite.units import EN_DASH, is_number, percent, quantity, ratio, rounded

Verdict = Literal["agrees", "differs", "not comparable", "not run"]

_ELSEWHERE: Mapping[Relation, str] = {
    "up_to": "where it may be larger",
    "over": "where it may be less",
    "range": "where it may lie outside",
}
"""What could yet be found in models that were not run, by what is claimed of all of them."""

_BASE_UNITS = {"s": "s", "flops": "flops"}


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    why: str
    """One line."""


def judge(claim: Claim, published: Number, reading: Reading, missing: Sequence[str] = ()) -> Judgement:
    """Whether ours agrees with what was published.

    A number agrees when it, or any value of its interval, lies in the band that the claim's relation and tolerance span: around
    the number (``about``, and ``up_to`` for the largest of ours), above it (``over``), between its ends (``range``, for each of
    ours); ``exactly`` has no band. It differs when all of it lies outside.

    With models of the claim's `missing`, it can differ (what exceeds an "up to" does so whatever the others do), never agree.
    """
    target = published if reading.published is None else reading.published
    ending = f"; {reading.note}" if reading.note else ""
    if reading.incomparable is not None:
        return Judgement("not comparable", reading.incomparable + ending)
    if missing and not _is_refuted_by_some(claim, target, reading):
        return Judgement("not run", _missing_words(claim, missing) + ending)
    ending = f"; {_already_words(claim, missing)}{ending}" if missing else ending
    if claim.relation == "exactly":
        same = _listed(target) == _listed(reading.value)
        return Judgement("agrees" if same else "differs", ("the same" if same else "not the same") + ending)
    low, high = band(claim, target)
    own = _extent(reading)
    every = claim.relation == "range"
    inside = low <= min(own) and max(own) <= high if every else max(own) >= low and min(own) <= high
    return Judgement("agrees" if inside else "differs", _distance(claim, target, reading, inside=inside) + ending)


def band(claim: Claim, published: Number) -> tuple[float, float]:
    """The ends between which a number agrees."""
    ends = _listed(published)
    if claim.relation == "over":
        return ends[0], float("inf")
    return min(ends) * (1 - claim.tolerance), max(ends) * (1 + claim.tolerance)


def _is_refuted_by_some(claim: Claim, published: Number, reading: Reading) -> bool:
    """Whether what some of the models show decides against a claim over all of them."""
    low, high = band(claim, published)
    own = _extent(reading)
    if claim.relation == "up_to":
        return min(own) > high
    if claim.relation == "over":
        return max(own) < low
    return claim.relation == "range" and not (low <= min(own) and max(own) <= high)


def _extent(reading: Reading) -> list[float]:
    """The ends of its interval, or else its value or values."""
    ends = (reading.low, reading.high)
    return [end for end in ends if end is not None and is_number(end)] or _listed(reading.value)


def _missing_words(claim: Claim, missing: Sequence[str]) -> str:
    told = f"{_count_words(claim, missing)}; missing: {', '.join(missing)}"
    elsewhere = _ELSEWHERE.get(claim.relation)
    return f"{told}, {elsewhere}" if elsewhere else told


def _already_words(claim: Claim, missing: Sequence[str]) -> str:
    return f"already with {_count_words(claim, missing)}; missing: {', '.join(missing)}"


def _count_words(claim: Claim, missing: Sequence[str]) -> str:
    return f"{len(claim.models) - len(missing)} of {len(claim.models)} models"


def number_words(claim: Claim, value: Number, unit: str | None = None) -> str:
    """A number of a claim as people read it; `unit` where a reading has one of its own."""
    unit = claim.unit if unit is None else unit
    if isinstance(value, list):
        between = f" {EN_DASH} " if claim.relation == "range" else ", "
        return between.join(_words(unit, item) for item in value)
    return _words(unit, value)


def published_words(claim: Claim, value: Number, unit: str | None = None) -> str:
    """The published number with what is said of it: up to, over."""
    before = {"up_to": "up to ", "over": "over "}.get(claim.relation, "")
    return before + number_words(claim, value, unit)


def _words(unit: str, value: float) -> str:
    if unit == "share":
        return percent(value)
    if unit == "times":
        return ratio(value)
    if unit in _BASE_UNITS:
        return quantity(value, _BASE_UNITS[unit])
    if unit == "parameters":
        return f"{rounded(value / 1e9)} G" if value >= 1e9 else f"{rounded(value / 1e6)} M"
    number = f"{value:,.0f}" if float(value).is_integer() else rounded(value)
    return f"{number} {unit}".rstrip()


def _distance(claim: Claim, target: Number, reading: Reading, *, inside: bool) -> str:
    """How far ours is from theirs, as a clause."""
    low, high = band(claim, target)
    if claim.relation == "range":
        outside = [value for value in _listed(reading.value) if not low <= value <= high]
        return "all of ours lie in it" if inside else f"{('one', 'both')[len(outside) > 1]} of our ends outside"
    value, theirs = _listed(reading.value)[0], _listed(target)[0]
    if claim.relation == "over":
        return "ours is above it" if inside else "ours is not above it"
    if theirs == 0:
        return "within tolerance" if inside else "outside the tolerance"
    if value == theirs:
        return "the same"
    how_far = value / theirs - 1
    words = f"ours is {percent(abs(how_far))} {'above' if how_far > 0 else 'below'}"
    if how_far > 1:
        words = f"ours is {ratio(value / theirs)} it"
    if inside and abs(how_far) > claim.tolerance:
        words += ", but its interval reaches"
    return f"{words} (tolerance {percent(claim.tolerance)})"


def _listed(value: Number) -> list[float]:
    return value if isinstance(value, list) else [value]
