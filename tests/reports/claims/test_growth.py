"""Exponents and crossings of exact power laws."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import load
from reports.claims.evidence import settings
from reports.claims.growth import by_size, exponent, overtaking
from tests.reports.claims_records import save_run

SIZES = [64.0, 128.0, 256.0, 512.0]


def test_exponents_are_those_of_the_law() -> None:
    assert exponent(SIZES, [3 * size**4 for size in SIZES]) == pytest.approx(4)


def test_power_laws_cross_where_they_are_equal() -> None:
    late, early = [size**4 for size in SIZES], [200**2 * size**2 for size in SIZES]
    assert overtaking(SIZES, late, early) == pytest.approx(200)
    assert overtaking(SIZES, early, [2 * value for value in early]) is None
    assert overtaking(SIZES, late, [value / 1e9 for value in early]) is None  # it was above all along


def test_a_sweep_differs_in_one_number_alone(tmp_path: Path) -> None:
    for side in (64, 128, 256):
        save_run(tmp_path, "stable_diffusion", request={"height": side, "width": side, "batch_size": 1})
    for side in (64, 128):
        save_run(tmp_path, "stable_diffusion", request={"height": side, "width": side, "batch_size": 2})
    save_run(tmp_path, "stable_diffusion", ("other",), request={"height": 512, "width": 512, "batch_size": 1})
    (evidence,) = settings(load(tmp_path))
    (sweep,) = by_size(evidence, "stable_diffusion", "flash_attention", "height")
    assert [size for size, _ in sweep] == [64, 128, 256]
    assert list(by_size(evidence, "imagen", "flash_attention", "height")) == []
