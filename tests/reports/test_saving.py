"""Figures saved in another process: the same bytes, whatever the figure holds, and no torch over there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from reports.saving import save_here, saver, warm_up
from reports.second_process import MANY_RUNS, here, second_process
from reports.style import FORMATS, house_style, new_figure

ROOT = Path(__file__).resolve().parents[2]


def draw(formatter: Any = None) -> Figure:
    with house_style():
        figure = new_figure(1.5, 3.3)
        axes = figure.subplots()
        axes.plot([1, 2, 4], [3, 1, 2], label="a $ b")
        axes.set_title("Growth of µ")
        axes.legend()
        if formatter is not None:
            axes.yaxis.set_major_formatter(formatter)
        return figure


@pytest.mark.parametrize("formatter", [None, lambda value, _: f"{value:g} s"], ids=["plain", "lambda"])
def test_another_process_makes_the_same_bytes(formatter: object) -> None:
    here = save_here(draw(formatter), FORMATS)()
    with second_process(MANY_RUNS, warm_up) as later:
        save = saver(later)
        waiting = [save(draw(formatter), FORMATS) for _ in range(4)]
        assert [finish() for finish in reversed(waiting)] == [here] * 4
    assert set(here) == set(FORMATS)


def test_few_runs_are_saved_here() -> None:
    assert saver(here) is save_here


def test_what_saves_loads_no_torch() -> None:
    code = "import sys, reports.saving; reports.saving.warm_up(); sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
