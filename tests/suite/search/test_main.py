"""The command: a simulated search of real runs, and what it says of wrong words."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.loading import load
from reports.pareto import pareto
from suite import errors
from suite.search.__main__ import main

SWEEP = [
    "workload=stable_diffusion", "execution=simulate", "machine=a100_80gb", "smallest_slice=8192", "scale=smoke",
    "device.precision=float32", "request.batch_size=2",
    "optimization=[],vae_slicing,operator_grouping,[bf16,vae_slicing]",
    "optimization.operator_grouping.batch_slices=choice(1,2)",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _fresh_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "_kept", [])


def test_the_front_is_the_one_that_a_report_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--runs", "9", *SWEEP, f"output_dir={tmp_path}"]) == 0
    told = capsys.readouterr().out
    runs = load(tmp_path).readable()
    assert len(runs) == 5  # four stacks, one of them with either number of slices
    drawn = pareto(runs)
    best = drawn[drawn["dominated_by"].isna()]
    assert 1 <= len(best) < len(runs)
    assert "of 5 runs are beaten by none" in told
    assert f"python -m reports {tmp_path}" in told.replace("\n", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["optimization=[],nope"], "optimization=nope: there is no such option"),
        (["study=paretto"], "did you mean pareto"),
        (["optimization=[],vae_slicing", "optimization.vae_slicing.num=1,2"], "optimization.vae_slicing.num"),
        (["--runs", "0", "optimization=[],vae_slicing"], "--runs=0: at least 1"),
    ],
)
def test_wrong_words_are_told_before_anything_runs(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, f"output_dir={tmp_path}"]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
