"""A report exists whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.publish import OutputError, check_target, publish


def test_the_new_report_replaces_the_old_one_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "report"
    publish({"index.html": b"old", "tables/a.csv": b"1"}, out)
    publish({"index.html": b"new"}, out)
    assert [path.name for path in out.rglob("*")] == ["index.html"]
    assert (out / "index.html").read_bytes() == b"new"
    assert [path.name for path in out.parent.iterdir()] == ["report"]


def test_what_is_no_report_is_left_alone(tmp_path: Path) -> None:
    check_target(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    check_target(tmp_path / "empty")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "data.bin").write_bytes(b"1")
    with pytest.raises(OutputError, match="not a report"):
        check_target(tmp_path / "full")
    with pytest.raises(OutputError, match="not a folder"):
        check_target(tmp_path / "full" / "data.bin")
