"""The operators probe: the table it adds sums to the span it reports, and FLOPs are those of pencil and paper."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pytest
from toy import toy_subject

from suite.probes.operators import Operators


def test_rows_sum_to_the_profiled_span_and_flops_are_exact(tmp_path: Path) -> None:
    observation = Operators().observe(toy_subject(tmp_path))
    table, profile = observation.tables["operators"], observation.profile
    assert profile is not None
    assert pc.sum(table.column("host_self_s")).as_py() == pytest.approx(profile.span_s, rel=1e-9)
    flops = dict.fromkeys(("linear", "attention", "convolution"), 0)
    for row in table.to_pylist():
        if row["operator_class"] in flops:
            flops[row["operator_class"]] += row["flops"] or 0
    steps, tokens, width = 2, 16, 16
    assert flops["linear"] == steps * 2 * tokens * width * 3 * width
    assert flops["attention"] == steps * 2 * (2 * 2 * tokens * tokens * 8)
    assert flops["convolution"] == 2 * tokens * width * 3


def test_what_watching_cost_is_reported(tmp_path: Path) -> None:
    cost = Operators().observe(toy_subject(tmp_path)).cost
    assert cost is not None
    assert cost.probe == "operators"
    assert cost.watched_s > 0
