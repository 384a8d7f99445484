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
