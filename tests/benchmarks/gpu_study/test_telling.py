"""What a call says: done, left, about how long, and what went wrong."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.gpu_study.schedule import Ended, Job, Ledger
from benchmarks.gpu_study.telling import ending, summary, verdicts


def job(study: str, key: str, seconds: float = 20) -> Job:
    return Job(study, key, (key,), seconds, f"{study}: {key}")


def test_the_page_has_a_row_a_study_and_the_rest_in_sentences(tmp_path: Path) -> None:
    jobs = [job("one", "a"), job("one", "b"), job("two", "c"), job("two", "d", 900)]
    ledger = Ledger(tmp_path / "ledger.json")
    ledger.note(jobs[0], Ended("ok", 3))
    ledger.note(jobs[1], Ended("oom", 3, reason="too large"))
    ledger.note(jobs[2], Ended("crashed", 3, reason="status 7"))
    page = summary(jobs, ledger, 480)
    assert "| one | 2 | 2 | 1 ok, 1 oom | 0 |" in page
    assert "| two | 2 | 0 | 1 crashed | 920 |" in page
    assert "2 runs are left, about 920 s" in page
    assert "- two: c: crashed, status 7" in page
    assert "- two: d: takes about 900 s, for which a budget of 480 s is too short" in page


def test_nothing_left_is_said(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.json")
    ledger.note(job("one", "a"), Ended("ok", 3))
    assert "Nothing is left of the plan." in summary([job("one", "a")], ledger, 480)


def test_one_line_a_run() -> None:
    assert ending(job("one", "a"), Ended("oom", 3.4, reason="too large")) == "one: a: oom, 3 s (too large)"
    assert "cut off" in ending(job("one", "a"), None)


def test_verdicts_of_checks_are_told_one_a_line(tmp_path: Path) -> None:
    assert verdicts(tmp_path) == ""
    for name, passed in (("latency", True), ("energy", None)):
        (tmp_path / f"check-{name}").mkdir()
        document = {"check": name, "verdicts": {"it": {"passed": passed, "told": "As asked."}}}
        (tmp_path / f"check-{name}" / "check.json").write_text(json.dumps(document))
    assert verdicts(tmp_path) == "- not told energy, it: As asked.\n- passed   latency, it: As asked.\n"
