"""A sweep over published rows, from the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import ROOT
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins

from suite.published_gpu import chosen_rows, runs
from suite.record_folder import find_records, load


def test_what_is_typed_comes_last_and_sweeps_every_run() -> None:
    # Hydra loads its plugins anew: the class is the one that it then knows.
    sweeper_class: Any = Plugins.instance().class_name_to_class["hydra_plugins.genscope_rows.RowSweeper"]
    sweeper = sweeper_class(rows=None, select=["torch20-xl-t4"], max_batch_size=None)
    typed = OverridesParser.create().parse_overrides(["study=published_gpu", "request.seed=1,2"])
    (batch,) = sweeper.split_arguments(typed, None)
    own = runs(chosen_rows(None, ["torch20-xl-t4"]))
    assert batch == [[*words, "study=published_gpu", f"request.seed={seed}"] for seed in (1, 2) for words in own]
    assert [len(jobs) for jobs in sweeper.split_arguments(typed, 3)] == [3, 1]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "run.py", "study=published_gpu", *words], check=False, cwd=ROOT, capture_output=True, text=True
    )


def test_rows_of_a_file_are_simulated(tmp_path: Path) -> None:
    rows = tmp_path / "rows.yaml"
    common = (
        "source: s, model: m, gpu: g, dtype: float16, batch: 1, height: null, width: null, frames: null, steps: 2, "
        "guidance: null, attention: sdpa, flags: f, value: 1.0, unit: s, scope: generate, sure: high, why_sure: w, "
        "machine: t4, sim: {workload: stable_diffusion}"
    )
    rows.write_text(f"- {{id: a, quantity: latency_s, {common}}}\n- {{id: b, quantity: energy, {common}}}\n")
    done = run(f"hydra.sweeper.rows={rows}", "scale=smoke", f"output_dir={tmp_path / 'runs'}")
    assert done.returncode == 0, done.stderr
    (folder,) = find_records(tmp_path / "runs")
    record = load(folder)
    assert (record.execution, record.request["num_inference_steps"]) == ("simulate", 2)
    assert record.environment["machine"]["name"] == "NVIDIA T4"


def test_a_row_that_is_not_there_is_one_sentence() -> None:
    done = run("hydra.sweeper.select=[nothing]")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "no row's id begins so" in done.stderr
    assert len(done.stderr.splitlines()) == 1
