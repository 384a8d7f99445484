"""How many workloads the relative breakdown has room for; its numbers are tested in tests/reports/test_figures.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import load
from reports.figures import operator_breakdown_relative
from reports.style import house_style
from tests.reports.attention_records import operator, save_run


@pytest.mark.parametrize(("count", "stacks"), [(10, 2), (11, 2), (6, 3), (7, 3)])
def test_ten_pairs_or_six_larger_groups_are_drawn_and_more_are_said(tmp_path: Path, count: int, stacks: int) -> None:
    for index in range(count):
        for stack in ("a", "b", "c")[:stacks]:
            save_run(tmp_path, f"toy{index}", stack, operators=[operator("convolution", 1.0, 10)])
    runs = load(tmp_path)
    with house_style():
        figure = operator_breakdown_relative.draw(runs)
    assert figure is not None
    drawn = min(count, 10 if stacks == 2 else 6)
    assert len(figure.axes[0].get_xticks()) == drawn * stacks
    left_out = f"Drawn are {drawn * stacks} of {count * stacks} runs"
    assert (left_out in operator_breakdown_relative.caption(runs)) == (count > drawn)
