"""Verdicts: on both sides of every tolerance, with and without an interval."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reports.claims.claim import Claim, Number
from reports.claims.evidence import Reading
from reports.claims.judge import judge, number_words, published_words


def claim(relation: Any, value: Number, tolerance: float = 0.1, unit: str = "times") -> Claim:
    return Claim(
        says="it is so", value=value, relation=relation, unit=unit, seen="paper", tolerance=tolerance, checked_by="x"
    )


def verdict(relation: Any, theirs: Number, ours: Number, **changes: Any) -> str:
    reading = Reading(value=ours, basis="measured", run_ids=("a",), **changes)
    return judge(claim(relation, theirs), theirs, reading).verdict


@pytest.mark.parametrize(
    ("relation", "published", "inside", "outside"),
    [
        ("about", 2.0, [1.81, 2.19], [1.79, 2.21]),
        ("up_to", 0.44, [0.40, 0.48], [0.39, 0.49]),
        ("over", 0.6, [0.61, 9.0], [0.59, 0.0]),
        ("exactly", 16.0, [16.0], [16.1, 15.0]),
    ],
)
def test_tolerances_have_two_sides(relation: str, published: float, inside: list[float], outside: list[float]) -> None:
    assert {verdict(relation, published, value) for value in inside} == {"agrees"}
    assert {verdict(relation, published, value) for value in outside} == {"differs"}


def test_every_value_must_lie_in_a_range() -> None:
    assert verdict("range", [1.1, 2.5], [1.0, 2.7]) == "agrees"
    assert verdict("range", [1.1, 2.5], [0.9, 2.0]) == "differs"
    assert verdict("range", [1.1, 2.5], [1.2, 2.8]) == "differs"


@pytest.mark.parametrize(
    ("relation", "published", "ours", "of_all", "of_some"),
    [
        ("up_to", 0.44, 0.42, "agrees", "not run"),
        ("up_to", 0.44, 0.20, "differs", "not run"),  # the largest may be another's
        ("up_to", 0.44, 0.60, "differs", "differs"),  # whatever the others do
        ("over", 0.60, 0.90, "agrees", "not run"),
        ("over", 0.60, 0.40, "differs", "differs"),
        ("range", [1.1, 2.5], [1.2, 2.0], "agrees", "not run"),
        ("range", [1.1, 2.5], [1.2, 4.0], "differs", "differs"),
        ("about", 2.0, 2.0, "agrees", "not run"),
        ("about", 2.0, 4.0, "differs", "not run"),
        ("exactly", 3.0, 3.0, "agrees", "not run"),
        ("exactly", 3.0, 4.0, "differs", "not run"),
    ],
)
def test_some_of_the_models_can_refute_and_never_bear_out(
    relation: str, published: Number, ours: Number, of_all: str, of_some: str
) -> None:
    over_two = msgspec.structs.replace(claim(relation, published), models=("a", "b"))
    reading = Reading(value=ours, basis="measured", run_ids=("x",), note="a 1")
    assert judge(over_two, published, reading).verdict == of_all
    judgement = judge(over_two, published, reading, missing=["b"])
    assert judgement.verdict == of_some
    assert "1 of 2 models; missing: b" in judgement.why
    assert judgement.why.endswith("; a 1")


def test_an_interval_that_reaches_the_bound_refutes_nothing_for_some() -> None:
    over_two = msgspec.structs.replace(claim("up_to", 2.0), models=("a", "b"))
    for low, expected in ((2.1, "not run"), (2.3, "differs")):
        reading = Reading(value=2.5, low=low, high=2.9, basis="measured", run_ids=("x",))
        assert judge(over_two, 2.0, reading, missing=["b"]).verdict == expected


def test_lists_are_compared_item_by_item() -> None:
    assert verdict("exactly", [4096.0, 64.0], [4096.0, 64.0]) == "agrees"
    assert verdict("exactly", [4096.0, 64.0], [64.0, 4096.0]) == "differs"


def test_an_interval_that_reaches_the_band_does_not_contradict() -> None:
    assert verdict("about", 2.0, 2.5, low=2.1, high=2.9) == "agrees"
    assert verdict("about", 2.0, 2.5, low=2.3, high=2.9) == "differs"
    assert verdict("about", 2.0, 2.5, low=float("nan"), high=float("nan")) == "differs"
    assert verdict("over", 0.6, 0.55, low=0.5, high=0.65) == "agrees"
    reading = Reading(value=2.5, low=2.1, high=2.9, basis="measured", run_ids=("a",))
    assert "its interval reaches" in judge(claim("about", 2.0), 2.0, reading).why


def test_what_cannot_be_compared_is_not_judged() -> None:
    reading = Reading(value=9.0, basis="measured", run_ids=("a",), incomparable="another device", note="3 trials")
    judgement = judge(claim("about", 2.0), 2.0, reading)
    assert (judgement.verdict, judgement.why) == ("not comparable", "another device; 3 trials")


def test_a_reading_may_have_a_published_number_of_its_own() -> None:
    assert verdict("about", 20.0, 0.66, published=0.65) == "agrees"
    assert verdict("about", 20.0, 0.80, published=0.65) == "differs"


def test_the_distance_is_told() -> None:
    def why(ours: float) -> str:
        return judge(claim("about", 2.0), 2.0, Reading(value=ours, basis="counted", run_ids=())).why

    assert why(2.1) == "ours is 5.0 % above (tolerance 10 %)"
    assert why(1.0) == "ours is 50 % below (tolerance 10 %)"
    assert why(8.0).startswith("ours is 4.00")
    assert why(2.0) == "the same"


def test_numbers_are_told_in_their_units() -> None:
    assert published_words(claim("up_to", 0.44, unit="share"), 0.44) == "up to 44 %"
    assert number_words(claim("about", 8.03e11, unit="flops"), 8.03e11) == "803 GFLOP"
    assert number_words(claim("about", 6.74e9, unit="parameters"), 6.74e9) == "6.74 G"
    assert number_words(claim("about", 13.67, unit="GiB"), 13.67) == "13.7 GiB"
    assert number_words(claim("about", 4.0, unit=""), 4.0) == "4"
    assert number_words(claim("exactly", [4096.0, 64.0], unit=""), [4096.0, 64.0]) == "4,096, 64"
