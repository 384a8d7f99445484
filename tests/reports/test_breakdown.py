"""One clock a run, and a segment for every row."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from reports.breakdown import SEGMENTS, by_segment
from reports.loading import load
from tests.reports.synthetic import make_run, table


def with_times(folder: Path, **times: float | None) -> None:
    """Overwrite the time columns of a run's operator table."""
    rows = pq.read_table(folder / "operators.parquet").to_pylist()
    pq.write_table(table("operators", [row | times for row in rows]), folder / "operators.parquet")


@pytest.mark.parametrize(
    ("times", "clock", "each"),
    [
        ({"host_self_s": 2.0, "device_self_s": 3.0}, "device time", 3.0),
        ({"host_self_s": 2.0, "device_self_s": None}, "host time", 2.0),
        ({"host_self_s": None, "device_self_s": None, "estimated_s": 5.0}, "estimated time", 5.0),
    ],
)
def test_the_best_clock_is_used_for_all_rows(times: dict, clock: str, each: float, tmp_path: Path) -> None:
    folder = make_run(tmp_path, "parti", num_trials=1)
    with_times(folder, **times)
    frame = by_segment(load(tmp_path))
    assert set(frame["clock"]) == {clock}
    assert frame["seconds"].sum() == each * pq.read_metadata(folder / "operators.parquet").num_rows


def test_unknown_classes_count_as_other(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "parti", num_trials=1)
    rows = pq.read_table(folder / "operators.parquet").to_pylist()
    changed = [row | {"operator_class": "sorcery", "attention_part": None} for row in rows]
    pq.write_table(table("operators", changed), folder / "operators.parquet")
    frame = by_segment(load(tmp_path))
    assert frame["segment"].tolist() == ["other"]
    assert frame["segment"].isin(SEGMENTS).all()
