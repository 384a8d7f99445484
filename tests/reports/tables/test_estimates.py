"""The table of estimates: stages, intensities in both readings, and what limits them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import load
from reports.exhibits import build_table
from reports.tables import estimates
from suite.machine import Machine
from tests.reports.simulated import ROWS, save_simulated

pytestmark = pytest.mark.usefixtures("rooflines")


def test_stages_and_their_sum(tmp_path: Path) -> None:
    table = estimates.build(load(save_simulated(tmp_path))).set_index("stage")
    assert table.index.tolist() == ["denoise_step", "decode", "all stages"]
    assert table["seconds"].tolist() == pytest.approx([2.0, 0.5, 2.5])
    assert table["flops"].tolist() == [312e12, 156e12, 468e12]
    assert table["flops_per_byte"].tolist() == pytest.approx([312e12 / 2041e9, 156e12 / 2e9, 468e12 / 2043e9])
    assert table["flops_per_parameter_byte"].tolist() == pytest.approx([312e12 / 2e9, 156e12 / 1e9, 468e12 / 3e9])
    assert table["bound"].tolist() == ["compute (50 %)", "compute (100 %)", "compute (60 %)"]
    assert set(table["machine"]) == {"NVIDIA A100 80GB SXM"}


def test_an_unknown_part_leaves_its_stage_and_the_sum_unknown(tmp_path: Path) -> None:
    machine = Machine(name="half known", bandwidth_bytes_per_s=1e12, peak_flops_per_s={"bfloat16": None})
    table = estimates.build(load(save_simulated(tmp_path, machine=machine))).set_index("stage")
    assert table["seconds"].isna().all()
    assert table["flops"].notna().all()
    assert table["bound"].isna().all()


def test_a_known_stage_stays_known_beside_an_unknown_one(tmp_path: Path) -> None:
    rows = [ROWS[1], {**ROWS[2], "precision": "float64"}]
    table = estimates.build(load(save_simulated(tmp_path, rows=rows))).set_index("stage")
    assert table.loc["denoise_step", "seconds"] == pytest.approx(1.0)
    assert table.loc[["decode", "all stages"], "seconds"].isna().all()


def test_it_is_rendered(tmp_path: Path) -> None:
    exhibit = build_table(estimates, load(save_simulated(tmp_path)))
    assert exhibit is not None
    assert "lower bound" in exhibit.files["md"]
