"""The schedule, on a clock that only runs advance."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks.gpu_study.schedule import Ended, Job, Ledger, work_off


@dataclass
class Machine:
    """Runs take what they take; the budget ends when it ends."""

    budget: float
    takes: dict[str, float]
    status: dict[str, str] = field(default_factory=dict)
    now: float = 0.0
    begun: list[str] = field(default_factory=list)

    def left(self) -> float:
        return self.budget - self.now

    def run(self, job: Job, seconds: float) -> Ended | None:
        self.begun.append(job.key)
        took = self.takes[job.key]
        self.now += min(took, seconds)
        return Ended(self.status.get(job.key, "ok"), took, folder=job.key) if took <= seconds else None


def plan(*keys: str, seconds: float = 10, kinds: dict[str, str] | None = None) -> list[Job]:
    return [Job("study", key, (f"workload={key}",), seconds, (kinds or {}).get(key, key)) for key in keys]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.json"


def call(machine: Machine, jobs: list[Job], path: Path) -> Ledger:
    """One call: what earlier ones did is read from the file."""
    ledger = Ledger.read(path)
    list(work_off(jobs, ledger, machine.run, machine.left))
    return ledger


def test_runs_come_in_order_and_stop_before_the_budget_ends(path: Path) -> None:
    machine = Machine(35, dict.fromkeys("abcd", 10))
    call(machine, plan(*"abcd"), path)
    assert machine.begun == ["a", "b", "c"]
    assert machine.now == 30


def test_a_second_call_goes_on_where_the_first_ended(path: Path) -> None:
    jobs, takes = plan(*"abcd"), dict.fromkeys("abcd", 10)
    call(Machine(25, takes), jobs, path)
    second = Machine(25, takes)
    ledger = call(second, jobs, path)
    assert second.begun == ["c", "d"]
    assert all(map(ledger.is_done, jobs))


def test_a_run_that_does_not_fit_gives_way_to_a_later_one_that_does(path: Path) -> None:
    jobs = [*plan("long", seconds=100), *plan("short", seconds=5)]
    machine = Machine(20, {"long": 100, "short": 5})
    ledger = call(machine, jobs, path)
    assert machine.begun == ["short"]
    assert [ledger.is_done(job) for job in jobs] == [False, True]


def test_what_took_longer_than_guessed_is_cut_off_and_only_begun_again_where_there_is_more_time(path: Path) -> None:
    jobs = plan("slow", "quick")
    first = Machine(30, {"slow": 60, "quick": 1})
    ledger = call(first, jobs, path)
    assert first.begun == ["slow"]
    assert ledger.of(jobs[0]).status == "cut off"
    assert not ledger.is_done(jobs[0])
    again = Machine(30, {"slow": 60, "quick": 1})
    call(again, jobs, path)
    assert again.begun == ["quick"]
    larger = Machine(61, {"slow": 60, "quick": 1})
    assert call(larger, jobs, path).is_done(jobs[0])


def test_runs_of_one_kind_are_taken_to_last_as_long_as_those_before(path: Path) -> None:
    jobs = plan(*"abc", seconds=1, kinds=dict.fromkeys("abc", "same"))
    machine = Machine(50, dict.fromkeys("abc", 20))
    call(machine, jobs, path)
    assert machine.begun == ["a", "b"]
    assert machine.now == 40


def test_one_whose_record_was_found_tells_nothing_of_how_long_its_like_take(path: Path) -> None:
    first, second = plan("a", "b", seconds=30, kinds=dict.fromkeys("ab", "same"))
    ledger = Ledger.read(path)
    ledger.note(first, Ended("ok", 0.2, "a", was_there=True))
    assert ledger.expected_s(second) == 30
    ledger.note(first, Ended("ok", 12, "a"))
    assert ledger.expected_s(second) == 12


@pytest.mark.parametrize(("status", "tries"), [("failed", 2), ("crashed", 2), ("oom", 1), ("not_applicable", 1)])
def test_only_what_a_second_try_could_mend_is_tried_again(status: str, tries: int, path: Path) -> None:
    jobs = plan("a")
    machine = Machine(1000, {"a": 10}, {"a": status})
    for _ in range(4):
        call(machine, jobs, path)
    assert len(machine.begun) == tries


def test_one_that_broke_does_not_take_the_others_with_it(path: Path) -> None:
    machine = Machine(100, dict.fromkeys("abc", 10), {"b": "crashed"})
    ledger = call(machine, plan(*"abc"), path)
    assert [ledger.of(job).status for job in plan(*"abc")] == ["ok", "crashed", "ok"]
