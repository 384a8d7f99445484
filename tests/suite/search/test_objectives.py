"""A run weighed: numbers worked out by hand from a record and its tables."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from suite.record import Outcome, Record, Sample
from suite.record_folder import save
from suite.record_tables import TABLES
from suite.search.objectives import Objectives, objectives

PEAKS = [
    {"stage": "denoise_step", "allocated_bytes": 900, "resident_bytes": 5000},
    {"stage": "generate", "allocated_bytes": 1000, "resident_bytes": 6000},
]
OPERATORS = [{"stage": "denoise_step", "estimated_s": seconds} for seconds in (1.0, 0.25, None)]


def trials(arm: str, *seconds: float) -> list[Sample]:
    return [
        Sample(metric="latency_s", value=value, trial=trial, arm=arm, warmup=trial == 0)
        for trial, value in enumerate(seconds)
    ]


def weighed(
    folder: Path, change: dict | None = None, stack: tuple[str, ...] = ("a",), *samples: Sample
) -> Objectives | None:
    record = msgspec.structs.replace(_record(stack, list(samples)), **(change or {}))
    tables = {
        name: pa.Table.from_pylist(rows, schema=TABLES[name])
        for name, rows in (("memory_peaks", PEAKS), ("operators", OPERATORS))
    }
    save(record, tables, folder)
    return objectives(record, folder)


def _record(stack: tuple[str, ...], samples: list[Sample]) -> Record:
    from tests.reports.synthetic import ENVIRONMENT, SPECS, _facts

    return Record(
        run_id="0" * 16, name="run", created="2026-11-21T10:00:00+00:00", execution="measure",
        workload=_facts(next(iter(SPECS.values())), "made_up"), outcome=Outcome(status="ok"), request={},
        config={"optimization": {name: {} for name in stack}}, environment=ENVIRONMENT, arms=[], samples=samples,
    )  # fmt: skip


MEASURED = (
    *trials("stack", 9.0, 2.0, 4.0, 3.0),
    *trials("out_of_the_box", 1.0, 4.0, 4.0, 6.0),
    Sample(metric="latency_s", value=0.5, stage="vae_decode", trial=1),
)


def test_time_is_the_median_of_ratios_in_the_same_trial(tmp_path: Path) -> None:
    """Ratios 2/4, 4/4 and 3/6; the warm-up trial does not count, nor does another stage."""
    distance = Sample(metric="relative_l2_error", value=0.25)
    assert weighed(tmp_path / "a", None, ("a",), *MEASURED, distance) == Objectives(pytest.approx(0.5), 1000, 0.25)


def jumping(arm: str, seconds: float, slow: float, num_slow: int) -> list[Sample]:
    """A warm-up trial, some slow trials that the run set aside, and six that count."""
    found = trials(arm, 9.0, *[slow] * num_slow, *[seconds] * 6)
    return [
        msgspec.structs.replace(one, set_aside=0 < one.trial <= num_slow and slow != seconds)
        for one in found
    ]  # fmt: skip


def test_pairs_that_saw_the_same_machine_count_and_others_give_way_to_the_trials_that_count(tmp_path: Path) -> None:
    """A neighbour on both arms leaves their ratio at 3/4; one that hit the stack alone would make it 30/4 in most pairs."""
    both = [*jumping("stack", 3.0, 30.0, 8), *jumping("out_of_the_box", 4.0, 40.0, 8)]
    one = [*jumping("stack", 3.0, 30.0, 8), *jumping("out_of_the_box", 4.0, 4.0, 8)]
    for folder, samples in (("both", both), ("one", one)):
        found = weighed(tmp_path / folder, None, ("a",), *samples)
        assert found is not None
        assert found.time == pytest.approx(0.75)


def test_seconds_without_anything_beside_them_are_of_the_trials_that_count(tmp_path: Path) -> None:
    found = weighed(tmp_path, None, ("a",), *jumping("stack", 3.0, 30.0, 8))
    assert found is not None
    assert found.time == 3.0


def test_rounding_is_no_distance_and_a_missing_one_is_not_known(tmp_path: Path) -> None:
    rounding = Sample(metric="relative_l2_error", value=1e-6)
    exact, unknown = (weighed(tmp_path / str(len(more)), None, ("a",), *MEASURED, *more) for more in ([rounding], []))
    assert exact is not None
    assert exact.distance == 0
    assert unknown is not None
    assert unknown.distance is None


def test_the_workload_itself_is_one_and_no_distance(tmp_path: Path) -> None:
    assert weighed(tmp_path / "a", None, (), *trials("stack", 9.0, 2.0)) == Objectives(1.0, 1000, 0.0)


def test_a_simulation_is_weighed_by_its_estimate(tmp_path: Path) -> None:
    assert weighed(tmp_path / "a", {"execution": "simulate"}) == Objectives(1.25, 1000, None)


def test_a_run_that_did_not_finish_is_not_weighed(tmp_path: Path) -> None:
    ended = {"outcome": Outcome(status="oom", reason="too large")}
    assert weighed(tmp_path / "a", ended, ("a",), *MEASURED) is None
    assert weighed(tmp_path / "b", None, ("a",)) is None  # no latency was asked for
