"""Runs in a notebook: they tell what they are without reading tables, and the README's lines do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
from conftest import ROOT

from reports import load
from reports.runs import Runs
from tests.reports.synthetic import make_run


def test_a_set_of_runs_says_what_it_holds(tmp_path: Path) -> None:
    make_run(tmp_path, "parti", num_trials=2)
    folder = make_run(tmp_path, "parti", ("flash_attention",), num_trials=2)
    (folder / "operators.parquet").write_bytes(b"never read")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "record.json").write_text("{")
    first, second, *rest = repr(load(tmp_path)).splitlines()
    assert first == "2 runs of 1 workload with 2 stacks: 2 ok"
    assert {"runs", "samples", "operators", "attention", "memory"} <= set(second.removeprefix("frames: ").split(", "))
    assert [line for line in rest if line.startswith("left out: ") and "broken" in line]


def test_every_frame_that_is_named_is_a_frame(runs: Runs) -> None:
    names = repr(runs).splitlines()[1].removeprefix("frames: ").split(", ")
    assert all(isinstance(getattr(runs, name), pd.DataFrame) for name in names)


def test_the_table_shows_runs_and_escapes_what_they_say(tmp_path: Path) -> None:
    make_run(tmp_path, "parti", shown="<b>", num_trials=1, folder="run")
    shown = load(tmp_path)._repr_html_()
    assert "out_of_the_box" in shown
    assert "<b>" not in shown
    assert "&lt;b&gt;" in shown


def test_a_long_table_is_cut(tmp_path: Path) -> None:
    for number in range(22):
        make_run(tmp_path, "parti", num_trials=1, folder=str(number), seed=str(number))
    shown = load(tmp_path)._repr_html_()
    assert shown.count("<tr") == 21
    assert "and 2 more" in shown


def test_the_readmes_lines_run_without_torch(study: Path) -> None:
    """Each row of a frame carries its run, so that grouping needs nothing else."""
    block = re.search(r"In a notebook:\n\n((?:    .*\n)+)", (ROOT / "README.md").read_text())
    assert block is not None
    lines = [line.removeprefix("    ") for line in block[1].splitlines()]
    assert lines[1] == 'runs = load("outputs/quickstart")'
    lines[1] = f"runs = load({str(study)!r})"
    lines[-1] = f"found = {lines[-1]}"
    program = "\n".join(
        [
            "import sys",
            *lines,
            "print(found.to_csv())",
            "assert 'torch' not in sys.modules and 'hydra' not in sys.modules",
        ]
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    frame = load(study).operators
    keys = ["workload", "stack", "operator_class"]
    wanted = frame.groupby(keys, observed=True)["host_self_s"].sum()
    assert len(wanted) > 10
    for (workload, stack, operator_class), seconds in wanted.items():
        (line,) = [row for row in done.stdout.splitlines() if row.startswith(f"{workload},{stack},{operator_class},")]
        assert abs(float(line.rsplit(",", 1)[1]) - seconds) <= 1e-9 * seconds
