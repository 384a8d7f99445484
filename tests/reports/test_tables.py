"""Tables: numbers recomputed from the files, and three forms of each."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from reports import tables
from reports.exhibits import TableExhibit, found_in
from reports.runs import Runs
from reports.tables import attention, flops, latency, memory, operators, outcomes, parts, probe_costs, setup, stages

# Every table of the folder: adding one is adding a file. Each is named here for the mirror: reports.tables.attention,
# reports.tables.flops, reports.tables.latency, reports.tables.memory, reports.tables.operators, reports.tables.outcomes,
# reports.tables.parts, reports.tables.probe_costs, reports.tables.setup, reports.tables.stages.
NAMES = {path.stem for path in Path(tables.__path__[0]).glob("*.py")} - {"__init__"}
OF_THE_STUDY = {
    "attention",
    "flops",
    "latency",
    "memory",
    "operators",
    "outcomes",
    "parts",
    "probe_costs",
    "setup",
    "stages",
}
"""Tables that these runs have rows for, among others; those of what they did not measure are tested in files of their own."""


def test_tables_are_found_by_listing_their_folder() -> None:
    assert {module.__name__ for module in found_in(tables)} == {f"reports.tables.{name}" for name in NAMES}


def raw(runs: Runs, run_id: str, table: str) -> list[dict]:
    folder = Path(runs.runs.set_index("run_id").loc[run_id, "folder"])
    return pq.read_table(folder / f"{table}.parquet").to_pylist()


def document(runs: Runs, run_id: str) -> dict:
    return json.loads((Path(runs.runs.set_index("run_id").loc[run_id, "folder"]) / "record.json").read_text())


def test_every_table_is_written_in_three_forms(built: dict[str, TableExhibit]) -> None:
    assert OF_THE_STUDY <= set(built) <= NAMES
    for table in built.values():
        assert set(table.files) == {"md", "csv", "tex"}
        rows = list(csv.reader(io.StringIO(table.files["csv"])))
        assert len({len(row) for row in rows}) == 1
        assert len(rows) - 1 == len(table.rendered.rows)
        assert table.files["tex"].count(r"\\") == len(table.rendered.rows) + 1
        lines = [line for line in table.files["md"].splitlines() if line.startswith("|")]
        assert len(lines) == len(table.rendered.rows) + 2
        assert all(rule in table.files["tex"] for rule in (r"\toprule", r"\midrule", r"\bottomrule"))


def test_latency(runs: Runs) -> None:
    table = latency.build(runs)
    assert len(table) == 11
    for row in table.to_dict("records"):
        whole = [s for s in document(runs, row["run_id"])["samples"] if s["stage"] == "generate" and not s["warmup"]]
        own = [s["value"] for s in whole if s["arm"] == "stack"]
        assert row["trials"] == len(own) == 10
        assert row["median_s"] == pytest.approx(np.median(own))
        assert (row["min_s"], row["max_s"]) == (min(own), max(own))
        assert row["low_s"] <= row["median_s"] <= row["high_s"]


def test_stages_add_up_to_the_generation_in_every_trial(runs: Runs) -> None:
    table = stages.build(runs)
    for run_id, rows in table.groupby("run_id"):
        samples = [s for s in document(runs, str(run_id))["samples"] if s["arm"] == "stack" and not s["warmup"]]
        steps = [s for s in samples if s["stage"] == rows["stage"].iloc[1]]
        by_trial = [sum(s["value"] for s in steps if s["trial"] == trial) for trial in range(10)]
        assert rows["median_s"].iloc[1] == pytest.approx(np.median(by_trial))
        assert rows.loc[rows["is_addend"], "share"].sum() == pytest.approx(1, abs=0.01)
        assert rows.loc[rows["stage"] == "between stages", "median_s"].iloc[0] == pytest.approx(0.02)


def test_operator_shares_sum_to_one_in_both_readings(runs: Runs) -> None:
    table = operators.build(runs)
    rest = ["convolution", "normalization", "elementwise", "data_movement", "everything_else"]
    narrow = table[["attention_core", "linear_with_projections", *rest]].sum(axis="columns")
    wide = table[["attention_with_projections", "linear", *rest]].sum(axis="columns")
    np.testing.assert_allclose(narrow, 1.0)
    np.testing.assert_allclose(wide, 1.0)
    for row in table.to_dict("records"):
        rows = raw(runs, row["run_id"], "operators")
        assert row["seconds"] == pytest.approx(sum(r["host_self_s"] for r in rows))


def test_attention(runs: Runs) -> None:
    table = attention.build(runs)
    for _, rows in table.groupby("run_id"):
        assert rows["share_core"].sum() == pytest.approx(1)
        assert rows["share_with_projections"].sum() == pytest.approx(1)
    for row in table.to_dict("records"):
        calls = [c for c in raw(runs, row["run_id"], "attention") if c["attention_kind"] == row["kind"]]
        assert row["calls"] == len(calls)
        assert row["max_query_length"] == max(c["query_length"] for c in calls)
        assert row["kernels"] == calls[0]["kernel"]


def test_memory_is_relative_to_the_same_stage_of_the_baseline(runs: Runs) -> None:
    table = memory.build(runs).set_index(["group", "stack", "stage"])
    saved = table.loc[("stable_diffusion", "vae_slicing", "decode")]
    whole = table.loc[("stable_diffusion", "baseline_attention", "decode")]
    assert saved["relative"] == pytest.approx(saved["peak_bytes"] / whole["peak_bytes"])
    assert whole["relative"] == 1


def test_flops_and_what_has_no_formula(runs: Runs) -> None:
    table = flops.build(runs)
    for run_id, rows in table.groupby("run_id"):
        operators_rows = raw(runs, str(run_id), "operators")
        known = rows.set_index("segment")
        whole = sum(r["flops"] for r in operators_rows if r["flops"] is not None)
        assert known.loc["all classes", "flops"] == whole
        assert known.loc["all classes", "without_formula"] == "aten::cat"
        conv = [r for r in operators_rows if r["operator_class"] == "convolution"]
        rate = sum(r["flops"] for r in conv) / sum(r["host_self_s"] for r in conv)
        assert known.loc["convolution", "flops_per_s"] == pytest.approx(rate)
        assert np.isnan(known.loc["other", "flops"])  # a null stays unknown: it is never 0


def test_outcomes_name_every_run(runs: Runs) -> None:
    table = outcomes.build(runs)
    assert len(table) == 12
    (refused,) = table[table["outcome"] == "not_applicable"].to_dict("records")
    assert (refused["group"], refused["stack"], refused["reason"]) == (
        "parti",
        "vae_slicing",
        "parti has no VAE to slice",
    )


def test_probe_costs(runs: Runs) -> None:
    table = probe_costs.build(runs).set_index("probe")["slowdown"]
    np.testing.assert_allclose(table["operators"].to_numpy(), 1.9)


def test_parts_and_setup(runs: Runs) -> None:
    table = parts.build(runs)
    assert len(table) == 9
    assert table.set_index(["group", "part"]).loc[("parti", "denoiser"), "weight_bytes"] == 5200 * 1024**2
    made = setup.build(runs).set_index(["group", "stack"])
    row = made.loc[("parti", "flash_attention")]
    assert row["command"] == "python run.py workload=parti 'optimization=[flash_attention]'"
    assert row["device"] == "AMD EPYC 9B14, 1 thread"
    assert "torch 2.13.0+cpu" in row["versions"]
