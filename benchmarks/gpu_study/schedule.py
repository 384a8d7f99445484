"""Which run comes next, and whether it still fits: a plan worked off within a budget, over as many calls as it takes.

A run that is known not to fit into what is left is passed over for a later one that does. One that is cut off at the end of the
budget has left nothing but the time it was given, by which the next call knows that it needs more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

FINAL = frozenset({"ok", "oom", "not_applicable", "unsupported"})
"""Outcomes that a second try would only repeat (`suite.record.FINAL_OUTCOMES`)."""
RESULTS = ("record.json", "check.json")
"""One of them is in every folder of results."""
MOST_TRIES = 2
"""Of a run that failed or broke its process; cut-off ones do not count."""
GROWTH = 1.5
"""A run that was cut off is given that many times what it had."""


@dataclass(frozen=True)
class Job:
    """One run of a study.

    Args:
        study: the plan's name for it, that of its folder.
        key: what tells it from the other runs of the study, e.g. ``workload=parti optimization=flash_attention``.
        overrides: all that is typed after ``python run.py``.
        seconds: a guess, for the first of its kind.
        kind: runs of one kind take about as long: those of a study and a workload.
    """

    study: str
    key: str
    overrides: tuple[str, ...]
    seconds: float
    kind: str

    @property
    def name(self) -> str:
        return f"{self.study}: {self.key}"


@dataclass(frozen=True)
class Ended:
    """How a run ended: one of the record's outcomes, or ``crashed``, its process having died."""

    status: str
    seconds: float
    folder: str | None = None
    reason: str | None = None
    was_there: bool = False
    """Its record was found: the seconds tell nothing of its kind."""


@dataclass
class Entry:
    """What is known of a job from this call and those before."""

    status: str = "left"
    seconds: float = 0.0
    folder: str | None = None
    reason: str | None = None
    kind: str = ""
    tries: int = 0
    cut_off_after_s: float = 0.0


@dataclass
class Ledger:
    """What was done, by the job's name; kept beside the results, and packed with them."""

    path: Path
    entries: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Ledger:
        if not path.exists():
            return cls(path)
        return cls(path, {name: Entry(**entry) for name, entry in json.loads(path.read_text("utf-8")).items()})

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps({name: asdict(one) for name, one in self.entries.items()}, indent=1), "utf-8")
        partial.replace(self.path)

    def of(self, job: Job) -> Entry:
        return self.entries.get(job.name) or Entry(kind=job.kind)

    def is_done(self, job: Job) -> bool:
        """Whether there is nothing to be won by running it again."""
        entry = self.of(job)
        return entry.status in FINAL or entry.tries >= MOST_TRIES

    def expected_s(self, job: Job) -> float:
        """What the run will take: more than it was once cut off after, what its like took, or the plan's guess."""
        like = [
            one.seconds for one in self.entries.values() if one.kind == job.kind and one.status == "ok" and one.seconds
        ]
        guess = median(like) if like else job.seconds
        return max(guess, GROWTH * self.of(job).cut_off_after_s)

    def forget_lost(self, jobs: Sequence[Job], results: Path) -> None:
        """What has no record or check left is to be run again: its folder was deleted, or did not come home."""
        for job in jobs:
            folder = self.of(job).folder
            places = [results / job.study / folder, results / folder] if folder else []
            if places and not any((place / name).exists() for place in places for name in RESULTS):
                del self.entries[job.name]

    def note(self, job: Job, ended: Ended) -> None:
        before = self.of(job)
        seconds = 0.0 if ended.was_there else ended.seconds
        self.entries[job.name] = Entry(
            ended.status, seconds, ended.folder, ended.reason, job.kind, before.tries + 1, before.cut_off_after_s
        )
        self.write()

    def note_cut_off(self, job: Job, after_s: float) -> None:
        entry = self.of(job)
        entry.status, entry.cut_off_after_s = "cut off", max(after_s, entry.cut_off_after_s)
        self.entries[job.name] = entry
        self.write()


Run = Callable[[Job, float], "Ended | None"]
"""Runs a job for so many seconds at most; None where it was cut off."""


def work_off(
    jobs: Sequence[Job], ledger: Ledger, run: Run, left_s: Callable[[], float]
) -> Iterator[tuple[Job, Ended | None]]:
    """Run what is left of the plan, in its order, as far as it fits.

    Args:
        jobs: the plan.
        ledger: knows what was done, and is told what is.
        run: see `Run`.
        left_s: seconds left of the budget now.

    Yields:
        every job that was begun, and how it ended.
    """
    for job in jobs:
        given_s = left_s()
        if ledger.is_done(job) or ledger.expected_s(job) > given_s:
            continue
        ended = run(job, given_s)
        if ended is None:
            ledger.note_cut_off(job, given_s - max(left_s(), 0))
        else:
            ledger.note(job, ended)
        yield job, ended
