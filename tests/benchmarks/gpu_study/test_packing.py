"""Packing and back: byte for byte, within limits, and nothing outside the folder."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from benchmarks.gpu_study.packing import PackingError, pack, unpack
from benchmarks.gpu_study.unpack_command import main


def made(folder: Path, runs: int, size: int) -> dict[str, bytes]:
    """Runs of incompressible bytes; returns what must come back."""
    expected = {"ledger.json": b"{}"}
    (folder / "study").mkdir(parents=True)
    (folder / "ledger.json").write_bytes(b"{}")
    for number in range(runs):
        run = folder / "study" / f"run-{number}"
        (run / "trace").mkdir(parents=True)
        (run / "trace" / "profile.json.gz").write_bytes(b"large")
        (run / "events.out.tfevents.1").write_bytes(b"large")
        (run / "image.png").write_bytes(b"large")
        for name, content in (("record.json", b'{"a": 1}'), ("operators.parquet", os.urandom(size))):
            (run / name).write_bytes(content)
            expected[f"study/run-{number}/{name}"] = content
    (folder / "study" / ".run.scratch-1").mkdir()
    (folder / "study" / ".run.scratch-1" / "record.json").write_bytes(b"half")
    return expected


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_records_and_tables_come_back_and_nothing_else_does(tmp_path: Path) -> None:
    expected = made(tmp_path / "runs", 3, 1000)
    (tmp_path / "out").mkdir()
    packed = pack(tmp_path / "runs", tmp_path / "out", name="results")
    assert [path.name for path in packed.files] == ["results-1.tar.gz"]
    assert packed.left_out == []
    unpack(packed.files, tmp_path / "back")
    assert content(tmp_path / "back") == expected


def test_files_stay_below_the_limit_and_each_is_whole_by_itself(tmp_path: Path) -> None:
    expected = made(tmp_path / "runs", 10, 3000)
    (tmp_path / "out").mkdir()
    packed = pack(tmp_path / "runs", tmp_path / "out", name="results", most_bytes=10_000)
    assert len(packed.files) > 2
    assert all(path.stat().st_size <= 10_000 for path in packed.files)
    for number, path in enumerate(packed.files):
        unpack([path], tmp_path / str(number))
    found = [content(tmp_path / str(number)) for number in range(len(packed.files))]
    assert sum(map(len, found)) == len(expected)
    assert {name: data for one in found for name, data in one.items()} == expected


def test_what_does_not_fit_is_named_and_no_run_comes_in_pieces(tmp_path: Path) -> None:
    made(tmp_path / "runs", 10, 3000)
    (tmp_path / "out").mkdir()
    packed = pack(tmp_path / "runs", tmp_path / "out", name="results", most_bytes=7_500, most_files=2)
    assert len(packed.files) == 2
    unpack(packed.files, tmp_path / "back")
    back = {path.name for path in (tmp_path / "back" / "study").iterdir()}
    assert back | {name.rpartition("/")[2] for name in packed.left_out} == {f"run-{number}" for number in range(10)}
    assert len(back) == 4
    assert all(len(list(folder.iterdir())) == 2 for folder in (tmp_path / "back" / "study").iterdir())


def test_packing_again_replaces_what_was_packed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results-5.tar.gz").write_bytes(b"old")
    (tmp_path / "out" / "other.txt").write_bytes(b"mine")
    made(tmp_path / "runs", 1, 10)
    pack(tmp_path / "runs", tmp_path / "out", name="results")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"results-1.tar.gz", "other.txt"}


@pytest.mark.parametrize("name", ["../outside.json", "/tmp/outside.json"])
def test_nothing_is_written_outside(name: str, tmp_path: Path) -> None:
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(PackingError, match="outside"):
        unpack([path], tmp_path / "into")
    assert not (tmp_path / "outside.json").exists()


def test_the_command_says_what_it_did_and_refuses_other_files(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "out").mkdir()
    made(tmp_path / "runs", 2, 10)
    files = [str(path) for path in pack(tmp_path / "runs", tmp_path / "out", name="results").files]
    assert main([*files, "--into", str(tmp_path / "back")]) == 0
    assert "5 files, 2 runs" in capsys.readouterr().out
    (tmp_path / "text.tar.gz").write_text("no archive")
    assert main([str(tmp_path / "text.tar.gz"), "--into", str(tmp_path / "back")]) == 2
    assert "text.tar.gz is no file of packed results" in capsys.readouterr().err
