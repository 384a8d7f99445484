"""Tables of older and of broken runs."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reports.reading import concatenate, operator_sums, read_table
from suite.record_folder import RecordError
from suite.record_tables import TABLES
from tests.reports.synthetic import make_run


def test_missing_columns_are_null_and_missing_tables_empty(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "parti", num_trials=1)
    path = folder / "attention.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["kernel", "heads"]), path)
    table = read_table(folder, "attention")
    assert table["kernel"].null_count == table["heads"].null_count == table.num_rows > 0
    path.unlink()
    assert read_table(folder, "attention").num_rows == 0
    assert concatenate([table, read_table(folder, "attention")]).num_rows == table.num_rows


def test_sums_of_nulls_stay_null(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "parti", num_trials=1)
    totals, by_name = operator_sums(folder)
    rows = pq.read_table(folder / "operators.parquet").to_pylist()
    assert sum(totals["calls"].to_pylist()) == sum(row["calls"] for row in rows)
    assert totals["device_self_s"].null_count == totals.num_rows
    assert pa.types.is_dictionary(totals["stage"].type)
    assert sum(by_name["host_self_s"].to_pylist()) == pytest.approx(sum(row["host_self_s"] for row in rows))


def test_what_runs_between_the_parts_is_told_apart(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "parti", num_trials=1)
    rows = pq.read_table(folder / "operators.parquet").slice(0, 4).to_pylist()
    for row, module, step in zip(rows, (None, None, "denoiser", None), (0, 1, 0, 1), strict=True):
        row |= {"stage": "decode_step", "operator": "aten::argmax", "module": module, "step": step, "calls": 2}
    pq.write_table(pa.Table.from_pylist(rows, schema=TABLES["operators"]), folder / "operators.parquet")
    found = {row["is_between_parts"]: row for row in operator_sums(folder).by_name.to_pylist()}
    assert (found[True]["calls"], found[True]["num_steps"]) == (6, 2)
    assert (found[False]["calls"], found[False]["num_steps"]) == (2, 1)


def test_a_broken_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "memory.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(RecordError, match=r"memory\.parquet cannot be read"):
        read_table(tmp_path, "memory")
