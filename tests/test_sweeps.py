"""Sweeps from the command line: killed in the middle and started again, with failures that do not stop the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from suite import record_folder

QUICK = [
    "protocol=quick",
    "protocol.min_trials=1",
    "protocol.max_trials=1",
    "protocol.max_warmup_trials=1",
    "probe=[latency]",
]
SWEEP = ["-m", "device=cpu", "workload=parti", "optimization=[],baseline_attention,flash_attention", *QUICK]


def start(output_dir: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "run.py"), *arguments, f"output_dir={output_dir}"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.slow
def test_a_sweep_killed_in_the_middle_keeps_what_is_finished(tmp_path: Path) -> None:
    sweep = start(tmp_path, *SWEEP)
    deadline = time.monotonic() + 120
    # Between two runs: the first one's folder is there, and the next one's hidden scratch folder shows that it is under way.
    while len(record_folder.find_records(tmp_path)) != 1 or not list(tmp_path.glob(".*.scratch-*")):
        assert time.monotonic() < deadline, "the sweep never got to its second run"
        assert sweep.poll() is None, sweep.stderr.read() if sweep.stderr else ""
        time.sleep(0.005)
    os.killpg(sweep.pid, signal.SIGKILL)
    sweep.communicate()
    (finished,) = record_folder.find_records(tmp_path)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in finished.iterdir()}
    assert record_folder.load(finished).outcome.status == "ok"

    again = start(tmp_path, *SWEEP)
    _, said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert f"finished before {finished.name}" in said
    assert said.count("running parti-smoke") == 2
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in finished.iterdir()} == before
    found = [record_folder.load(folder) for folder in record_folder.find_records(tmp_path)]
    assert sorted(run.label for run in found) == ["baseline_attention", "flash_attention", "out_of_the_box"]
    assert {run.outcome.status for run in found} == {"ok"}
    assert not list(tmp_path.glob(".parti*")), "leftovers of the killed run are gone"


def test_a_wrong_run_does_not_stop_the_others(tmp_path: Path) -> None:
    sweep = start(tmp_path, "-m", "device=cpu", "workload=parti", "request.height=60,64", *QUICK)
    _, said = sweep.communicate(timeout=120)
    assert sweep.returncode == 2
    assert said.count("genscope: ") == 1
    assert "request.height=60: a multiple of " in said
    (only,) = record_folder.find_records(tmp_path)
    assert record_folder.load(only).request["height"] == 64


@pytest.mark.slow
def test_a_single_run_lands_in_the_same_place_as_a_swept_one(tmp_path: Path) -> None:
    single = start(tmp_path, "device=cpu", "workload=parti", *QUICK)
    assert single.wait(timeout=120) == 0
    (folder,) = record_folder.find_records(tmp_path)
    assert folder.parent == tmp_path
    swept = start(tmp_path, "-m", "device=cpu", "workload=parti", "optimization=[],flash_attention", *QUICK)
    _, said = swept.communicate(timeout=120)
    assert f"finished before {folder.name}" in said
