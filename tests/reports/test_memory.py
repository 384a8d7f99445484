"""Which bytes are counted: the best counter that a run has, for all its rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from reports.loading import load
from reports.memory import stage_peaks
from tests.reports.synthetic import make_run, table


def test_resident_memory_stands_in_where_nothing_better_is_known(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "parti", num_trials=1)
    path = folder / "memory_peaks.parquet"
    unknown = {"allocated_bytes": None, "weights_bytes": None, "activations_bytes": None, "resident_bytes": 7}
    pq.write_table(table("memory_peaks", [row | unknown for row in pq.read_table(path).to_pylist()]), path)
    frame = stage_peaks(load(tmp_path))
    assert set(frame["counter"]) == {"resident memory of the process"}
    assert set(frame["peak_bytes"]) == {7}
    assert frame["stage"].tolist() == ["generate", "text_encode", "decode_step", "decode"]
