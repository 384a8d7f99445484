"""A machine that was not quiet, as a finding: which arm speaks, what its value is, and whose evidence is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.findings.unsteady_trials import find
from reports.loading import load
from reports.tables import findings
from suite.record import Sample
from tests.reports.claims_records import save_run, trials

ALIKE = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01, 0.99, 1.0]
JUMPING = [40 * value for value in ALIKE] + ALIKE + ALIKE
WARM_UP = Sample(metric="latency_s", value=900.0, warmup=True)
JUMP, BUSY = "Trials jump: 0-9 took 40 s.", "All the while other work kept 1.0 of 2 cores busy."


def save(folder: Path, stack: tuple[str, ...], samples: list[Sample], /, **doubts: str | None) -> None:
    save_run(folder, "toy", stack, samples=[WARM_UP, *samples], doubts=doubts, gpu="GPU")


def found(folder: Path) -> list[tuple[str, float, str]]:
    return [(one.run_id, one.value, one.evidence) for one in find(load(folder))]


def test_an_arm_that_jumps_is_found_with_its_evidence_and_a_steady_one_is_not(tmp_path: Path) -> None:
    save(tmp_path, (), trials(ALIKE), stack=None)
    save(tmp_path, ("a",), trials(JUMPING, aside=range(10)), stack=JUMP)
    assert found(tmp_path) == [("run00001", pytest.approx(40), JUMP)]


def test_other_work_all_the_while_is_found_though_the_trials_are_alike(tmp_path: Path) -> None:
    save(tmp_path, (), trials(ALIKE), stack=BUSY)
    assert found(tmp_path) == [("run00000", 1.0, BUSY)]


def test_the_most_doubtful_arm_speaks_and_is_named(tmp_path: Path) -> None:
    samples = trials(ALIKE) + trials(JUMPING, "out_of_the_box", aside=range(10)) + trials(JUMPING, "reference")
    save(tmp_path, ("a",), samples, stack=BUSY, out_of_the_box=JUMP, reference=None)
    assert found(tmp_path) == [("run00000", pytest.approx(40), f"in the arm out of the box: {JUMP}")]


def test_an_arm_without_trials_is_no_finding(tmp_path: Path) -> None:
    save(tmp_path, (), trials(ALIKE), stack=None, out_of_the_box=JUMP)
    assert found(tmp_path) == []


def test_the_table_tells_how_many_runs_were_hit_and_what_the_worst_one_saw(tmp_path: Path) -> None:
    save(tmp_path, (), trials(ALIKE), stack=BUSY)
    save(tmp_path, ("a",), trials(JUMPING, aside=range(10)), stack=JUMP)
    save(tmp_path, ("b",), trials(ALIKE), stack=None)
    (row,) = findings.build(load(tmp_path)).to_dict("records")
    assert (row["finding"], row["stack"], row["evidence"]) == ("The machine was not quiet", "a", JUMP)
    assert (row["num_found"], row["num_runs"]) == (2, 3)
