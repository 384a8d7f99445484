"""The worker's process: asked, cut off, crashed, and ended with what it started. A stand-in answers instead of running."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.gpu_study.processes import Worker
from benchmarks.gpu_study.schedule import Job

STAND_IN = """
import json, os, subprocess, sys, time
answers = os.fdopen(int(sys.argv[1]), "w")
for line in sys.stdin:
    what = json.loads(line)[0]
    if what == "crash":
        os._exit(7)
    if what.startswith("hang="):
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        open(what.partition("=")[2], "w").write(f"{os.getpid()} {child.pid}")
        time.sleep(600)
    answers.write(json.dumps({"status": what, "folder": str(os.getpid()), "reason": None}) + "\\n")
    answers.flush()
"""


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker([sys.executable, "-c", STAND_IN]) as one:
        yield one


def job(what: str) -> Job:
    return Job("study", what, (what,), 1, "kind")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_one_process_runs_one_job_after_another_and_a_fresh_one_follows_a_failure(worker: Worker) -> None:
    ended = [worker.run(job(what), 30) for what in ("ok", "oom", "failed", "ok")]
    assert [one.status for one in ended if one] == ["ok", "oom", "failed", "ok"]
    first, second, third, fourth = (one.folder for one in ended if one)
    assert first == second == third != fourth


def test_a_process_that_dies_is_an_outcome_and_the_next_job_runs(worker: Worker) -> None:
    ended = worker.run(job("crash"), 30)
    assert ended is not None
    assert ended.status == "crashed"
    assert "status 7" in str(ended.reason)
    after = worker.run(job("ok"), 30)
    assert after is not None
    assert after.status == "ok"


def test_what_takes_too_long_is_ended_with_all_that_it_started(worker: Worker, tmp_path: Path) -> None:
    noted = tmp_path / "pids"
    assert worker.run(job("ok"), 30) is not None  # it has started
    start = time.monotonic()
    assert worker.run(job(f"hang={noted}"), 2) is None
    assert time.monotonic() - start < 20
    pids = [int(word) for word in noted.read_text().split()]
    assert len(pids) == 2
    assert os.getpid() not in pids
    deadline = time.monotonic() + 10
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, pids))
