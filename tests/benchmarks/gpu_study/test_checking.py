"""Checks are found, written down with their figures, and one that breaks is a finding."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.gpu_study import check_command, checking
from benchmarks.gpu_study.checks import gpu_state, latency
from benchmarks.gpu_study.checks.setting import Setting, Verdict, within


def test_every_check_has_a_question() -> None:
    assert checking.names() == [
        "attention_kernels", "attribution", "compiled", "energy", "gpu_state", "latency", "layouts", "machine", "memory",
        "out_of_memory", "overhead", "smoke",
    ]  # fmt: skip


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two checks that answer at once, one of which breaks."""

    def breaks(setting: Setting) -> dict[str, Verdict]:
        raise RuntimeError("no\nluck")

    monkeypatch.setattr(latency, "check", lambda setting: {"quiet": within("latency", 1.005, 1.0, 0.01, unit="s")})
    monkeypatch.setattr(gpu_state, "check", breaks)


@pytest.mark.usefixtures("answered")
def test_findings_are_written_with_what_they_were_made_on(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["--device", "cpu", "--scale", "smoke", "--out", str(tmp_path)]
    assert check_command.main(["latency", *arguments]) == 0
    found = json.loads((tmp_path / "check-latency" / "check.json").read_text())
    assert found["verdicts"]["quiet"]["passed"] is True
    assert found["verdicts"]["quiet"]["figures"]["ratio"] == pytest.approx(1.005)
    assert found["device"]["packages"]["torch"]
    assert check_command.main(["latency", "gpu_state", *arguments]) == 1
    told = capsys.readouterr().out
    assert "FAILED   gpu_state, all: RuntimeError: no luck" in told
    assert "RuntimeError" in (tmp_path / "check-gpu_state" / "traceback.txt").read_text()


def test_an_unknown_check_is_bad_input(capsys: pytest.CaptureFixture) -> None:
    assert check_command.main(["colour"]) == 2
    assert "latency" in capsys.readouterr().err


@pytest.mark.parametrize(("ours", "passed"), [(1.0, True), (1.0099, True), (1.02, False), (0.98, False)])
def test_within_is_a_share_of_the_other_number(ours: float, passed: bool) -> None:
    assert within("it", ours, 1.0, 0.01, unit="s").passed is passed
    assert within("it", 1.0, 0.0, 0.01, unit="s").passed is False
