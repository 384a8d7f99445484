"""What a figure has room for, and how spans are counted."""

from __future__ import annotations

import pandas as pd
import pytest

from reports.panels import (
    MAX_GROUPS,
    MAX_STACKS,
    shown,
    span_number,
    what_is_left_out,
    without_shared_ending,
    worth_naming,
)


def test_figures_show_the_first_runs_and_say_what_they_leave_out() -> None:
    runs = [(f"g{group}", f"g{group}s{stack}") for group in range(8) for stack in range(15)]
    frame = pd.DataFrame(runs, columns=["group", "run_id"])
    kept = shown(frame)
    assert kept["group"].nunique() == MAX_GROUPS
    assert set(kept.groupby("group").size()) == {MAX_STACKS}
    assert "72 of 120 runs" in what_is_left_out(frame)
    assert what_is_left_out(frame.head(3)) == ""


def test_spans_change_with_stage_or_step() -> None:
    rows = pd.DataFrame({"stage": ["a", "a", "b", "b", "b", "a"], "step": [None, None, 0, 0, 1, None]})
    assert span_number(rows).tolist() == [0, 0, 1, 1, 2, 3]


def test_what_cannot_be_seen_is_not_named() -> None:
    rows = pd.DataFrame({"run_id": ["r"] * 3, "segment": ["x", "y", "z"], "seconds": [0.9, 0.099, 0.001]})
    assert worth_naming(rows, "segment", "seconds") == ["x", "y"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["baseline attention", "flash attention", "flash attention"], (["baseline", "flash", "flash"], "attention")),
        (["flash attention", "flash attention"], (["flash attention", "flash attention"], "")),
        (["attention", "flash attention"], (["attention", "flash attention"], "")),
        (["out of the box", "flash attention"], (["out of the box", "flash attention"], "")),
    ],
)
def test_a_word_that_all_labels_end_with_is_told_once(labels: list[str], expected: tuple[list[str], str]) -> None:
    assert without_shared_ending(labels) == expected
