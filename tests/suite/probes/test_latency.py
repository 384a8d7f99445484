"""Latency: spans timed on a fake clock, interleaved arms, and a stopping rule that stops for the right reason."""

from __future__ import annotations

from pathlib import Path
from random import Random
from statistics import median

import pytest
from toy import Noted, ToyWorkload, quick_protocol, toy_subject

from suite.execution.certify import Processor, certified
from suite.probes.latency import IN_A_ROW, Latency, StageTimes, Stopping
from suite.record import Arm, Sample
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
    generate = [(one.arm, one.trial) for one in samples if (one.metric, one.stage) == ("latency_s", "generate")]
    assert sorted(generate) == sorted((arm, trial) for arm in subject.arms for trial in range(4))
    steps = [sample.step for sample in samples if sample.stage == "denoise_step" and sample.arm == "stack"]
    assert steps == [0, 1] * 4


@pytest.mark.parametrize(
    ("changes", "num_trials"),
    [
        ({"min_trials": 5, "max_trials": 20, "target_relative_interval": 1e9}, 5 + IN_A_ROW - 1),
        ({"min_trials": 3, "max_trials": 6, "target_relative_interval": 0.0}, 6),
        ({"min_trials": 3, "max_trials": 6, "target_relative_interval": 0.0, "max_measuring_s": 0.0}, 3),
    ],
    ids=["narrow enough", "at most max_trials", "out of time, but never below min_trials"],
)
def test_measuring_stops(changes: dict, num_trials: int, tmp_path: Path) -> None:
    subject = Subject(ToyWorkload(), {"stack": {}}, quick_protocol(**changes), tmp_path)
    samples = Latency().observe(subject).samples
    assert num_generations(samples) == num_trials


def num_generations(samples: list[Sample]) -> int:
    return sum((sample.metric, sample.stage) == ("latency_s", "generate") for sample in samples)


class SeriesClock:
    """Tells a planted series of seconds, one a generation, whatever was really done."""

    def __init__(self, seconds: list[float]) -> None:
        self.seconds = iter(seconds)
        self.now = 0.0
        self.is_open = False

    def mark(self) -> float:
        self.now += next(self.seconds) if self.is_open else 0.0
        self.is_open = not self.is_open
        return self.now

    def synchronize(self) -> None:
        return

    def elapsed_s(self, start: float, end: float) -> float:
        return end - start


class StagelessWorkload(ToyWorkload):
    """Generates without stages, so that a clock is read twice a generation."""

    def generate(self) -> None:
        return None


def neighbour(num_bad: int, count: int) -> list[float]:
    """As a neighbour on one of two cores made it: slow generations, then quick ones."""
    random = Random(2)
    return [random.uniform(26, 35) for _ in range(num_bad)] + [
        random.uniform(0.65, 0.84) for _ in range(count - num_bad)
    ]


@pytest.mark.parametrize(("num_bad", "num_trials"), [(8, 30), (16, 30), (16, 50)])
def test_a_run_that_began_beside_a_neighbour_ends_with_the_right_number(
    num_bad: int, num_trials: int, tmp_path: Path
) -> None:
    subject = Subject(StagelessWorkload(), {"stack": {}}, quick_protocol(max_trials=num_trials), tmp_path)
    subject.clock = SeriesClock(neighbour(num_bad, num_trials))
    samples = Latency().observe(subject).samples
    arm, marked = certified(Arm(name="stack", steady=True), samples, Processor("cpu", 2, 2))
    counted = [one.value for one in marked if (one.metric, one.set_aside) == ("latency_s", False)]
    assert arm.steady is False
    assert f"Trials jump: 0-{num_bad - 1} took" in (arm.doubt or "")
    assert counted == pytest.approx(neighbour(num_bad, num_trials)[num_bad:])
    assert median(counted) == pytest.approx(0.746, abs=0.03)


def test_more_trials_are_taken_once_the_machine_is_quiet(tmp_path: Path) -> None:
    protocol = quick_protocol(min_trials=10, max_trials=100, target_relative_interval=0.2)
    subject = Subject(StagelessWorkload(), {"stack": {}}, protocol, tmp_path)
    subject.clock = SeriesClock(neighbour(8, 100))
    assert num_generations(Latency().observe(subject).samples) == 8 + 10 + IN_A_ROW - 1
    subject.clock = SeriesClock(neighbour(0, 100))
    assert num_generations(Latency().observe(subject).samples) == 10 + IN_A_ROW - 1


@pytest.mark.parametrize(("num_bad", "elapsed_s", "expected"), [
    (0, 61.0, True),  # time is up
    (0, 59.0, False),
    (2, 90.0, False),  # some 60 s of them went to the neighbour
    (9, 119.0, False),
    (9, 121.0, True),  # at most as much again
])  # fmt: skip
def test_slow_trials_do_not_use_up_the_time_of_quick_ones(num_bad: int, elapsed_s: float, expected: bool) -> None:
    values = neighbour(num_bad, 15)
    samples = [Sample(metric="latency_s", value=value, trial=trial) for trial, value in enumerate(values)]
    protocol = quick_protocol(max_trials=100, max_measuring_s=60)
    assert Stopping(protocol, "cpu").after(samples, elapsed_s) == expected


def test_an_interval_that_is_narrow_once_is_not_enough() -> None:
    protocol = quick_protocol(min_trials=10, max_trials=100, target_relative_interval=0.02)
    narrow, wide = [1.0] * 10, [1.0, 1.5] * 5
    stopping = Stopping(protocol, "cpu")
    rounds = [narrow] * (IN_A_ROW - 1) + [wide] + [narrow] * IN_A_ROW
    stops = [
        stopping.after([Sample(metric="latency_s", value=value, trial=n) for n, value in enumerate(values)], 0.0)
        for values in rounds
    ]
    assert stops == [False] * (len(rounds) - 1) + [True]
