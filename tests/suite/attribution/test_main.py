"""The command that makes records of trace files."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from attribution.handmade import HandmadeTrace
from conftest import ROOT

from suite.attribution.__main__ import main
from suite.attribution.flaws import CUT, NEGATIVE, time_flaw
from suite.record_folder import load, load_table
from suite.record_tables import TABLES


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    made = HandmadeTrace(tmp_path)
    made.document["deviceProperties"] = [
        {"name": "NVIDIA H100", "totalGlobalMem": 5, "computeMajor": 9, "computeMinor": 0}
    ]
    made.stage("generate", 0, 100).operator("aten::mm", 1, 20, [2, 3], [3, 4]).launch(2, 3, 1)
    made.operator("aten::scaled_dot_product_attention", 30, 40, *[[1, 2, 4, 8]] * 3)
    made.kernel("gemm", 5, 9, correlation=1).memory(10, 64).read()
    return made.path.rename(tmp_path / "unet.pt.trace.json")


def test_a_trace_becomes_a_record(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(trace), "--out", str(tmp_path / "out"), "--num-frames", "4"]) == 0
    folder = tmp_path / "out" / "unet"
    record = load(folder)
    assert (record.execution, record.workload.name, record.outcome.status) == ("trace", "unet", "ok")
    assert record.run_id == hashlib.sha256(trace.read_bytes()).hexdigest()
    assert record.environment["gpu"] == {"name": "NVIDIA H100", "memory_bytes": 5, "compute_capability": "9.0"}
    assert record.request == {"num_frames": 4}
    assert record.profile.span_s == pytest.approx(1e-4)
    missing = {name for name in TABLES if not len(load_table(folder, name))}
    assert missing == {"similarity", "attention_kernels"}, "neither features nor cache counters are in a trace"
    shown = capsys.readouterr().out
    assert "linear" in shown
    assert "temporal" in shown
    assert main([str(trace), "--out", str(tmp_path / "out")]) == 0  # again, over what is there


def test_what_was_mended_or_left_out_is_said_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = HandmadeTrace(tmp_path).operator("aten::mm", 0, 10).operator("aten::mm", 5, 12)
    for end in (20, 20, 21):
        made.operator("aten::add", 30, end)
    made.operator("aten::add", 40, 41)
    made.events[-1]["dur"] = None
    made.read()
    assert main([str(made.path), "--out", str(tmp_path / "out")]) == 0
    record = load(tmp_path / "out" / "handmade")
    notes = [
        "handmade: 3 events whose duration is negative: left out",
        "handmade: 1 event ending after the span around: cut where that one ends",
        "handmade: 1 event whose duration is missing: left out",
    ]
    assert record.workload.notes == notes
    assert capsys.readouterr().out.splitlines()[-3:] == notes
    assert record.profile.flaws == {NEGATIVE: 3, CUT: 1, time_flaw("dur", "missing"): 1}
    assert record.profile.num_events == 6
    # From 0 to 12, of which the row that was cut tells 5 to 10.
    assert (record.profile.span_s, record.profile.aside_s) == (pytest.approx(12e-6), 0)


def test_devices_of_which_nothing_can_be_told(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).kernel("gemm", 0, 1)
    made.document["deviceProperties"] = [{"name": ["x"], "totalGlobalMem": "much", "computeMajor": 9.5, "numSms": 132}]
    made.read()
    assert main([str(made.path), "--out", str(tmp_path / "out")]) == 0
    assert load(tmp_path / "out" / "handmade").environment == {"device": "cuda", "gpu": {"num_multiprocessors": 132}}


@pytest.mark.parametrize("size", ["0", "-1", "nan", "inf", "much", "1e30"])
def test_the_limit_must_be_a_size(trace: Path, tmp_path: Path, size: str) -> None:
    with pytest.raises(SystemExit) as left:
        main([str(trace), "--out", str(tmp_path / "out"), f"--max-trace-gib={size}"])
    assert left.value.code == 2


def test_a_trace_above_the_limit_is_refused_and_below_it_read(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(trace), "--out", str(tmp_path / "out")]
    assert main([*command, "--max-trace-gib=1e-7"]) == 2
    assert "--max-trace-gib allows more" in capsys.readouterr().err
    assert main([*command, "--max-trace-gib=1e-5"]) == 0


def test_traces_of_one_name_get_folders_of_their_own(trace: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "unet.json"
    other.parent.mkdir()
    other.write_text('{"traceEvents": []}')
    assert main([str(trace), str(other), "--out", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").glob("unet-????????"))) == 2


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "there is no trace file"), (b"hello", "is not a trace"), (b"\x1f\x8b\x08x", "cannot be read as a trace")],
)
def test_bad_input_is_one_sentence_and_nothing_written(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, complaint: str
) -> None:
    bad = tmp_path / "bad.json"
    if content is not None:
        bad.write_bytes(content)
    assert main([str(trace), str(bad), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_out_must_not_be_a_file(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    for out in (blocked, blocked / "below"):
        assert main([str(trace), "--out", str(out)]) == 2
        assert "is a file" in capsys.readouterr().err


@pytest.mark.parametrize("frames", ["0", "-2", "many"])
def test_frames_must_be_a_number(trace: Path, tmp_path: Path, frames: str) -> None:
    with pytest.raises(SystemExit) as left:
        main([str(trace), "--out", str(tmp_path / "out"), f"--num-frames={frames}"])
    assert left.value.code == 2


def test_neither_torch_nor_its_friends_are_loaded(trace: Path, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom suite.attribution.__main__ import main\n"
        f"assert main([{str(trace)!r}, '--out', {str(tmp_path / 'out')!r}]) == 0\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'hydra', 'pandas', 'rich', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True)
