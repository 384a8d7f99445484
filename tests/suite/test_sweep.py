"""The table of a sweep: a row a run, whatever became of it, readable in a terminal of 80 columns."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from suite import sweep
from suite.ending import Numbers, Work
from suite.peaks import Peak
from suite.statistics import Interval
from suite.sweep import Ended, names, tell_sweep

REASON = (
    "device=cuda: torch finds no CUDA device on this machine, so that nothing can be measured on it, whatever is asked"
)
GOOD = Numbers(
    latency=Interval(0.299, 0.303, 0.308, 10, 0.95),
    work=Work(20_100_000_000, True),
    allocated=Peak(180 * 2**20, ("denoise_step",), None),
)
RUNS = [
    Ended(["study=x", "workload=parti", "optimization=[]"], "ok", None, GOOD),
    Ended(
        ["study=x", "workload=parti", "optimization=[flash_attention,vae_slicing]"], "unsupported", REASON, Numbers()
    ),
    Ended(["study=x", "workload=stable_video_diffusion", "optimization=[]", "request.height=8"], "unsupported", REASON),
    Ended(["study=x", "workload=wan", "optimization=[]"], "not_applicable", "nothing to slice", Numbers()),
]


def told(monkeypatch: pytest.MonkeyPatch, runs: list[Ended], *, width: int | None) -> list[str]:
    """Lines of the table; on a terminal where a width is given."""
    monkeypatch.setattr(sweep, "_ended", runs)
    out = io.StringIO()
    tell_sweep(Console(file=out, force_terminal=width is not None, width=width, color_system=None, highlight=False))
    return out.getvalue().splitlines()


def test_runs_are_named_by_what_tells_them_apart() -> None:
    assert names(run.words for run in RUNS) == [
        "parti, out of the box",
        "parti, flash_attention + vae_slicing",
        "stable_video_diffusion, out of the box, height=8",
        "wan, out of the box",
    ]
    assert names([["a=1"], ["a=1"]]) == ["run 1", "run 2"]


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_a_terminal_and_cuts_nothing_off(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = told(monkeypatch, RUNS, width=width)
    assert max(map(len, lines)) <= width
    whole = " ".join(" ".join(lines).split())
    assert "303 [299\N{EN DASH}308] ms" in whole
    assert "denoise_step" in whole
    assert whole.count("whatever is asked") == 1, "a reason is told once, whole"
    assert "\N{HORIZONTAL ELLIPSIS}" not in whole


def test_through_a_pipe_it_is_plain_and_a_row_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = told(monkeypatch, RUNS, width=None)
    assert all(set(line).isdisjoint("\x1b\u2500\u2501") for line in lines)
    rows = [line for line in lines if line.startswith(("parti", "stable_video", "wan"))]
    assert [row.split("  ")[0] for row in rows[:4]] == names(run.words for run in RUNS)
    assert [line for line in lines if line.endswith(f": unsupported: {REASON}")]


def test_one_run_needs_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, RUNS[:1], width=80) == []


def test_a_time_in_doubt_is_marked_and_the_doubt_is_told_below(monkeypatch: pytest.MonkeyPatch) -> None:
    unsure = replace(GOOD, doubt="a neighbour held one core.")
    runs = [RUNS[0], Ended(["study=x", "workload=wan", "optimization=[]"], "ok", None, unsure)]
    lines = told(monkeypatch, runs, width=None)
    marked = [line for line in lines if "ms *" in line]
    assert [line.split("  ")[0] for line in marked] == ["wan"]
    assert lines[-1] == "* wan: a neighbour held one core."
