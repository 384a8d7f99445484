"""Latency: spans timed on a fake clock, interleaved arms, and a stopping rule that stops for the right reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy import Noted, ToyWorkload, quick_protocol, toy_subject

from suite.probes.latency import Latency, StageTimes
from suite.stage import stage, watched_by
from suite.subject import Subject


class FakeClock:
    """Advances one second per mark."""

    def __init__(self) -> None:
        self.now = 0.0
        self.synchronized_at: float | None = None

    def mark(self) -> float:
        self.now += 1.0
        return self.now

    def synchronize(self) -> None:
        self.synchronized_at = self.now

    def elapsed_s(self, start: float, end: float) -> float:
        assert self.synchronized_at is not None, "a mark was read before the device had reached it"
        assert end <= self.synchronized_at
        return end - start


def test_nested_spans_are_timed_separately_and_steps_are_counted() -> None:
    times = StageTimes(FakeClock())
    with watched_by([times]), stage("generate"):
        for _ in range(2):
            with stage("denoise_step"), stage("denoiser_forward"):
                pass
    found = [(sample.stage, sample.step, sample.value) for sample in times.samples("stack", trial=7)]
    assert found == [
        ("denoiser_forward", None, 1.0),
        ("denoise_step", 0, 3.0),
        ("denoiser_forward", None, 1.0),
        ("denoise_step", 1, 3.0),
        ("generate", None, 9.0),
    ]
    assert {(sample.arm, sample.trial, sample.metric) for sample in times.samples("stack", 7)} == {
        ("stack", 7, "latency_s")
    }


def test_arms_are_interleaved_in_alternating_order(tmp_path: Path) -> None:
    journal: list[str] = []
    arms = {name: {name: Noted(name, journal)} for name in ("stack", "out_of_the_box", "reference")}
    subject = Subject(ToyWorkload(), arms, quick_protocol(max_trials=2), tmp_path)
    Latency().observe(subject)
    order = [line[1:] for line in journal if line.startswith("+")]
    assert order == ["stack", "out_of_the_box", "reference", "reference", "out_of_the_box", "stack"]


def test_every_trial_of_every_arm_is_kept_raw(tmp_path: Path) -> None:
    subject = toy_subject(tmp_path, out_of_the_box={})
    samples = Latency().observe(subject).samples
    generate = [(sample.arm, sample.trial) for sample in samples if sample.stage == "generate"]
    assert sorted(generate) == sorted((arm, trial) for arm in subject.arms for trial in range(4))
    steps = [sample.step for sample in samples if sample.stage == "denoise_step" and sample.arm == "stack"]
    assert steps == [0, 1] * 4


@pytest.mark.parametrize(
    ("changes", "num_trials"),
    [
        ({"min_trials": 5, "max_trials": 20, "target_relative_interval": 1e9}, 5),
        ({"min_trials": 3, "max_trials": 6, "target_relative_interval": 0.0}, 6),
        ({"min_trials": 3, "max_trials": 6, "target_relative_interval": 0.0, "max_measuring_s": 0.0}, 3),
    ],
    ids=["narrow enough", "at most max_trials", "out of time, but never below min_trials"],
)
def test_measuring_stops(changes: dict, num_trials: int, tmp_path: Path) -> None:
    subject = Subject(ToyWorkload(), {"stack": {}}, quick_protocol(**changes), tmp_path)
    samples = Latency().observe(subject).samples
    assert sum(sample.stage == "generate" for sample in samples) == num_trials
