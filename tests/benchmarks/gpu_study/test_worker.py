"""The worker: what a run or a check ends as, in the words that the parent reads."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.gpu_study import checking, worker
from suite.errors import RunFailedError
from suite.record import Outcome


def test_a_wrong_override_is_an_outcome_with_its_sentence() -> None:
    ended = worker.run_job(["workload=no_such"])
    assert ended["status"] == "failed"
    assert "no_such" in ended["reason"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_tells_its_outcome_and_folder(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = Outcome(status="failed", reason="why") if fails else Outcome(status="oom", reason="too large")

    def announce(experiment: object, *, rerun: bool) -> SimpleNamespace:
        if fails:
            raise RunFailedError("it failed")
        return SimpleNamespace(outcome=outcome)

    monkeypatch.setattr("suite.progress.announce", announce)
    monkeypatch.setattr("suite.record_folder.load", lambda folder: SimpleNamespace(outcome=outcome))
    ended = worker.run_job(["workload=parti", "device=cpu"])
    assert (ended["status"], ended["reason"]) == (outcome.status, outcome.reason)
    assert ended["folder"].startswith("parti-smoke-")


def test_a_check_that_was_made_is_ok_whatever_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    verdict = {"passed": False, "told": "Not the same.", "figures": {}}

    def run_check(*arguments: object) -> dict:
        asked.append(arguments)
        return {"check": "latency", "verdicts": {"quiet": verdict}}

    monkeypatch.setattr(checking, "run_check", run_check)
    assert worker.run_job(["check=latency", "cpu", "smoke", str(tmp_path)])["status"] == "ok"
    assert asked == [("latency", "cpu", "smoke", tmp_path)]
