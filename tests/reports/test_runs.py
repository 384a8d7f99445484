"""Frames of many runs: what is joined, what is grouped, and what is not read."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pandas as pd
import pytest

from reports import load
from reports.comparison import in_order, latencies
from reports.facts import RUN_COLUMNS, is_complete
from reports.runs import Runs
from suite.record import Outcome
from suite.record_folder import load as load_record
from suite.record_folder import save
from tests.reports.synthetic import make_run


@pytest.mark.parametrize(
    ("execution", "status", "complete"),
    [("simulate", "oom", True), ("measure", "oom", False), ("simulate", "ok", True), ("simulate", "failed", False)],
)
def test_a_simulation_of_what_no_machine_holds_has_its_numbers(
    runs: Runs, execution: str, status: str, complete: bool
) -> None:
    outcome = Outcome(status=status)  # type: ignore[arg-type]
    assert is_complete(msgspec.structs.replace(runs.records[0], execution=execution, outcome=outcome)) == complete


def test_frames_carry_the_run_as_categoricals(runs: Runs) -> None:
    for frame in (
        runs.samples,
        runs.operators,
        runs.attention,
        runs.memory,
        runs.memory_peaks,
        runs.operator_totals,
        runs.operators_by_name,
    ):
        assert tuple(frame.columns[: len(RUN_COLUMNS)]) == RUN_COLUMNS
        assert all(isinstance(frame[column].dtype, pd.CategoricalDtype) for column in RUN_COLUMNS)
        assert frame["run_id"].nunique() == 11
    assert len(runs.runs) == 12
    counts = runs.samples.groupby("run_id", observed=True).size()
    for run_id, folder in runs.runs[["run_id", "folder"]].itertuples(index=False):
        assert counts.get(run_id, 0) == len(load_record(Path(folder)).samples)


def test_joined_rows_belong_to_their_run(runs: Runs) -> None:
    trace = runs.attention.groupby("workload", observed=True)["attention_kind"].unique()
    assert set(trace["animatediff"]) == {"spatial", "temporal", "cross"}
    assert set(trace["parti"]) == {"causal"}


def test_tables_are_not_read_before_they_are_asked_for(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "parti", num_trials=2)
    (folder / "operators.parquet").write_bytes(b"broken")
    runs = load(tmp_path)
    assert len(runs.samples)
    assert len(runs.memory)
    with pytest.raises(ValueError, match=r"operators\.parquet"):
        _ = runs.operators


def test_groups_are_named_by_what_differs(tmp_path: Path) -> None:
    first = make_run(tmp_path, "stable_diffusion", num_trials=2, folder="a")
    record = load_record(first)
    larger = msgspec.structs.replace(record, run_id="ffff", request=record.request | {"height": 1024})
    save(larger, {}, tmp_path / "b")
    make_run(tmp_path, "parti", num_trials=2)
    groups = list(load(tmp_path).runs["group"])
    assert sorted(groups) == ["parti", "stable_diffusion, height=1024", "stable_diffusion, height=512"]


def test_what_pipelines_were_called_with_tells_groups_apart(tmp_path: Path) -> None:
    record = load_record(make_run(tmp_path, "stable_diffusion", num_trials=2, folder="a"))
    called = record.config | {"workload": {"name": "stable_diffusion", "call_arguments": {"clip_skip": 1}}}
    save(msgspec.structs.replace(record, run_id="ffff", config=called), {}, tmp_path / "b")
    groups = list(load(tmp_path).runs["group"])
    assert groups == ["stable_diffusion, clip_skip=None", "stable_diffusion, clip_skip=1"]


def test_two_runs_of_one_stack_are_told_apart_and_the_latest_finished_one_keeps_the_name(tmp_path: Path) -> None:
    record = load_record(make_run(tmp_path, "parti", num_trials=2, folder="a"))
    failed = Outcome(status="failed", reason="no")
    later = {"created": "2027-01-01T00:00:00+00:00", "run_id": "bbbb"}
    save(msgspec.structs.replace(record, **later), {}, tmp_path / "b")
    save(msgspec.structs.replace(record, **later | {"run_id": "cccc", "outcome": failed}), {}, tmp_path / "c")
    stacks = dict(zip(["a", "b", "c"], load(tmp_path).runs["stack"], strict=True))
    assert stacks == {
        "a": f"out_of_the_box [{record.run_id[:8]}]",
        "b": "out_of_the_box",
        "c": "out_of_the_box [cccc]",
    }


def test_runs_whose_stacks_differ_in_their_arguments_are_all_told_apart(tmp_path: Path) -> None:
    record = load_record(make_run(tmp_path, "parti", ("flash_attention",), num_trials=2, folder="a"))
    other = record.config | {"optimization": {"flash_attention": {"parts": ["decoder"]}}}
    save(msgspec.structs.replace(record, run_id="bbbb", config=other), {}, tmp_path / "b")
    assert load(tmp_path).runs["stack"].str.startswith("flash_attention [").all()


def test_the_baseline_is_the_reference_or_the_librarys_default(tmp_path: Path) -> None:
    make_run(tmp_path, "parti", ("flash_attention",), num_trials=2)
    make_run(tmp_path, "parti", num_trials=2)
    ordered = in_order(load(tmp_path))
    assert ordered.loc[ordered["is_baseline"], "stack"].tolist() == ["out_of_the_box"]
    make_run(tmp_path, "parti", ("baseline_attention",), num_trials=2)
    ordered = in_order(load(tmp_path))
    assert ordered["stack"].tolist() == ["baseline_attention", "out_of_the_box", "flash_attention"]
    assert ordered["is_baseline"].tolist() == [True, False, False]


def test_one_trial_gives_a_median_and_no_interval(tmp_path: Path) -> None:
    make_run(tmp_path, "parti", ("flash_attention",), num_trials=1)
    (row,) = latencies(load(tmp_path)).to_dict("records")
    assert row["trials"] == 1
    assert pd.isna(row["low_s"])
    assert row["ref_verdict"] == "UNCLEAR"
