"""Runs on a machine that was not quiet are found, with the arm that it hit most and how much."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.findings.unsteady_trials import find
from reports.loading import load
from suite.record import Arm
from tests.reports.claims_records import save_run, trials

STEPPED = [3.0] * 6 + [1.0] * 12
WORSE = [5.0] * 6 + [1.0] * 12


def test_a_doubtful_run_is_found_with_its_slowest_over_its_fastest_trials(tmp_path: Path) -> None:
    save_run(tmp_path, "toy", samples=trials(STEPPED), gpu="GPU", arms=[Arm(name="stack", doubt="a core was taken.")])
    (found,) = find(load(tmp_path))
    assert (found.run_id, found.evidence) == ("run00000", "a core was taken.")
    assert found.value == pytest.approx(3)


def test_the_arm_that_was_hit_most_speaks_by_name(tmp_path: Path) -> None:
    arms = [Arm(name="stack", doubt="a little."), Arm(name="out_of_the_box", doubt="a lot.")]
    save_run(tmp_path, "toy", samples=trials(STEPPED) + trials(WORSE, "out_of_the_box"), gpu="GPU", arms=arms)
    (found,) = find(load(tmp_path))
    assert found.evidence == "in the arm out of the box: a lot."
    assert found.value == pytest.approx(5)


def test_a_run_that_nobody_doubts_is_not_found_whatever_its_trials(tmp_path: Path) -> None:
    save_run(tmp_path, "toy", samples=trials(STEPPED), gpu="GPU", arms=[Arm(name="stack")])
    save_run(tmp_path, "other", samples=(), gpu="GPU", arms=[Arm(name="stack", doubt="nothing was timed.")])
    assert not list(find(load(tmp_path)))
