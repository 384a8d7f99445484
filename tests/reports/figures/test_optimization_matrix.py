"""The matrix of optimizations by workload: ratios that are known by construction, and what is said where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import load
from reports.exhibits import draw_figure
from reports.figures import optimization_matrix
from reports.style import house_style
from suite.record import Outcome
from tests.reports.streamlined_records import SECOND, save_run

GROUPS = ("paper", "small", "smoke", "tiny")
NOT = Outcome(status="not_applicable", reason="it has no frames")


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    """Four groups of one workload, at four scales."""
    for number, scale in enumerate(GROUPS):
        save_run(tmp_path, (), 20, scale=scale)
        save_run(tmp_path, ("sliced",), 10, (2 * SECOND,) * 4, scale=scale)
        save_run(tmp_path, ("fewer_steps",), 20, (SECOND,) * (number + 1), exact=False, scale=scale)
        taken = {} if number else {"peak_gib": 20}
        save_run(tmp_path, ("sometimes",), exact=False, scale=scale, outcome=NOT if number else None, **taken)
        save_run(tmp_path, ("same",), 20, scale=scale)
        save_run(tmp_path, ("nowhere",), scale=scale, outcome=NOT)
    return tmp_path


def words_of(folder: Path) -> list[list[str]]:
    """What each panel writes, but for its axes."""
    with house_style():
        figure = optimization_matrix.draw(load(folder))
    assert figure is not None
    return [[text.get_text() for text in axes.texts] for axes in figure.axes]


def test_ratios_are_those_of_the_records(matrix: Path) -> None:
    frame = optimization_matrix.data(load(matrix))
    assert set(frame["stack"]) == {"sliced", "fewer_steps", "sometimes", "same"}
    sliced = frame[frame["stack"] == "sliced"]
    assert sliced["relative_time"].tolist() == pytest.approx([2] * 4)
    assert sliced["relative_memory"].tolist() == pytest.approx([0.5] * 4)
    fewer = frame[frame["stack"] == "fewer_steps"].set_index("group")["relative_time"]
    assert sorted(fewer) == pytest.approx([0.25, 0.5, 0.75, 1])
    assert frame["relative_time"].isna().sum() == 3


def test_every_cell_says_its_ratio_or_how_the_run_ended(matrix: Path) -> None:
    time, memory = words_of(matrix)
    assert sorted(time) == sorted(
        ["2.00"] * 4 + ["1.00"] * 6 + ["0.25", "0.50", "0.75"] + ["n/a"] * 3 + list(optimization_matrix.BLOCKS.values())
    )
    assert sorted(memory) == sorted(["0.50"] * 4 + ["1.00"] * 9 + ["n/a"] * 3)
    said = optimization_matrix.caption(load(matrix))
    assert "none of the workloads took them: nowhere." in said
    assert "Drawn are" not in said


def test_colour_tells_less_from_more_and_grows_with_either() -> None:
    def cell(value: float | None, **row: object) -> tuple[str, str, str]:
        return optimization_matrix._cell(
            {"relative_time": value, "verdict": None, "outcome": "ok"} | row, "relative_time"
        )

    assert cell(1.019)[0] == cell(0.981)[0] == "#ffffff"
    assert cell(4)[0] == cell(40)[0] == optimization_matrix._MORE
    assert cell(0.25)[0] == cell(0.01)[0] == optimization_matrix._LESS
    darker = [sum(bytes.fromhex(cell(value)[0][1:])) for value in (1.1, 1.5, 2.5, 4)]
    assert darker == sorted(darker, reverse=True)
    assert cell(1.5, verdict="UNCLEAR")[:2] == ("#ffffff", "1.50")
    assert cell(12.34)[1] == "12"
    assert cell(None)[1] == "?"
    assert cell(None, outcome="unsupported")[1] == "uns."
    assert cell(None, outcome="oom")[1] == "oom"


def test_few_workloads_or_stacks_are_left_to_other_figures(matrix: Path) -> None:
    three = [path for path in matrix.iterdir() if not path.name.endswith("tiny")]
    assert draw_figure(optimization_matrix, load(*three)) is None
    assert (
        draw_figure(optimization_matrix, load(*(path for path in matrix.iterdir() if "fewer" not in path.name))) is None
    )
