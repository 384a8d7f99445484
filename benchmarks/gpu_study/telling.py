"""What a call says in the end: what was done, how it ended, what is left and about how long that takes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu_study.checking import CHECK_FILE, lines
from benchmarks.gpu_study.schedule import Ended, Job, Ledger


def ending(job: Job, ended: Ended | None) -> str:
    """One line a run."""
    if ended is None:
        return f"{job.name}: cut off at the end of the budget, to be run again"
    reason = f" ({ended.reason})" if ended.reason else ""
    return f"{job.name}: {ended.status}, {ended.seconds:.0f} s{reason}"


def summary(jobs: Sequence[Job], ledger: Ledger, budget_s: float) -> str:
    """A Markdown page: a row for each study, then what went wrong and what no call of this length can hold."""
    lines = ["| study | runs | done | ended as | left, about s |", "| --- | ---: | ---: | --- | ---: |"]
    for study in dict.fromkeys(job.study for job in jobs):
        lines.append(_row(study, [job for job in jobs if job.study == study], ledger))
    left = [job for job in jobs if not ledger.is_done(job)]
    lines += ["", _rest(left, ledger)]
    wrong = [(job, ledger.of(job)) for job in jobs if ledger.of(job).status in ("failed", "crashed")]
    lines += [f"- {job.name}: {entry.status}, {entry.reason}" for job, entry in wrong]
    lines += [
        f"- {job.name}: takes about {ledger.expected_s(job):.0f} s, for which a budget of {budget_s:.0f} s is too short"
        for job in left
        if ledger.expected_s(job) > budget_s
    ]
    return "\n".join([*lines, ""])


def verdicts(results: Path) -> str:
    """What the checks have found so far, as Markdown."""
    found = [json.loads(path.read_text("utf-8")) for path in sorted(results.glob(f"check-*/{CHECK_FILE}"))]
    return "".join(f"- {line}\n" for document in found for line in lines(document))


def _row(study: str, jobs: Sequence[Job], ledger: Ledger) -> str:
    left_s = sum(ledger.expected_s(job) for job in jobs if not ledger.is_done(job))
    statuses = Counter(ledger.of(job).status for job in jobs if ledger.of(job).status != "left")
    words = ", ".join(f"{number} {status}" for status, number in statuses.items())
    return f"| {study} | {len(jobs)} | {sum(map(ledger.is_done, jobs))} | {words} | {left_s:.0f} |"


def _rest(left: Sequence[Job], ledger: Ledger) -> str:
    if not left:
        return "Nothing is left of the plan."
    seconds = sum(ledger.expected_s(job) for job in left)
    return f"{len(left)} runs are left, about {seconds:.0f} s: the same command goes on, with --resume and the files from here."
