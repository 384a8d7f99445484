"""The word on an arm's trials: steady or not, which are set aside, and a sentence with the evidence."""

from __future__ import annotations

import numpy as np
import pytest

from suite.execution.certify import Processor, certified
from suite.record import Arm, DeviceState, MachineState, Sample

TWO_CORES = Processor("cpu", num_threads=2, num_cores=2)


def samples(
    seconds: np.ndarray, others: np.ndarray | None = None, wait_share: np.ndarray | None = None, arm: str = "stack"
) -> list[Sample]:
    found = [Sample(metric="latency_s", value=float(one), trial=trial, arm=arm) for trial, one in enumerate(seconds)]
    found += [
        Sample(metric="latency_s", value=float(one) / 2, stage="decode", trial=trial, arm=arm)
        for trial, one in enumerate(seconds)
    ]
    if others is not None and wait_share is not None:
        found += [Sample(metric="others_cores", value=float(one), trial=n, arm=arm) for n, one in enumerate(others)]
        waits = wait_share * seconds
        found += [Sample(metric="core_wait_s", value=float(one), trial=n, arm=arm) for n, one in enumerate(waits)]
    return found


def noise(count: int) -> np.ndarray:
    return np.exp(np.random.default_rng(0).normal(0.0, 0.02, count))


def test_a_jump_is_told_with_its_cause_and_only_the_quiet_trials_count() -> None:
    seconds = noise(30) * np.where(np.arange(30) < 8, 30.0, 0.75)
    busy = np.where(np.arange(30) < 8, 1.0, 0.02)
    energy = [Sample(metric="energy_j", value=1.0, trial=0)]
    arm, marked = certified(Arm(name="stack", steady=True), samples(seconds, busy, busy) + energy, TWO_CORES)
    assert arm.steady is False
    assert "Trials jump: 0-7 took 30" in (arm.doubt or "")
    assert "8-29 took 0.74" in (arm.doubt or "")
    assert "the number is of the 22 that are alike" in (arm.doubt or "")
    assert "other work kept 1.0 of 2 cores busy" in (arm.doubt or "")
    assert "1 s a second for a core" in (arm.doubt or "")
    assert "device.num_threads=1" in (arm.doubt or "")
    aside = {(sample.metric, sample.stage) for sample in marked if sample.set_aside}
    assert aside == {
        ("latency_s", "generate"), ("latency_s", "decode"), ("others_cores", "generate"), ("core_wait_s", "generate"),
    }  # fmt: skip
    assert {sample.trial for sample in marked if sample.set_aside} == set(range(8))


def test_one_speed_on_a_busy_machine_is_doubtful_as_well() -> None:
    busy = np.full(20, 1.0)
    arm, marked = certified(Arm(name="stack"), samples(30 * noise(20), busy, busy), TWO_CORES)
    assert arm.steady is True
    assert (arm.doubt or "").startswith("All the while other work kept 1.0 of 2 cores busy")
    assert not any(sample.set_aside for sample in marked)


@pytest.mark.parametrize(
    ("others", "wait", "num_threads", "advice"),
    [
        (0.1, 0.5, 2, None),  # nobody else was there
        (1.0, 0.05, 2, None),  # others were, and took nothing from this run
        (1.0, 0.5, 1, ""),  # one thread has its core
        (2.0, 0.5, 1, "1 thread is more than the free cores: measure again"),
        (3.0, 0.5, 8, "8 threads are more than the free cores: take device.num_threads=5 or measure again"),
    ],
)
def test_advice_follows_from_threads_and_free_cores(
    others: float, wait: float, num_threads: int, advice: str | None
) -> None:
    processor = Processor("cpu", num_threads, num_cores=8 if num_threads == 8 else 2)
    series = samples(noise(20), np.full(20, others), np.full(20, wait))
    doubt = certified(Arm(name="stack"), series, processor)[0].doubt
    assert (doubt is None) == (advice is None)
    assert (advice or "") in (doubt or "")
    assert ("more than the free cores" in (doubt or "")) == bool(advice)


def test_few_trials_leave_the_word_of_the_warm_up() -> None:
    given = Arm(name="stack", steady=True, num_warmup_trials=3)
    series = samples(np.array([1.0, 50.0, 1.0, 50.0]))
    assert certified(given, series, TWO_CORES) == (given, series)


def test_an_arm_is_judged_by_its_own_trials() -> None:
    series = samples(noise(20)) + samples(noise(20) * np.where(np.arange(20) < 8, 2.0, 1.0), arm="out_of_the_box")
    steady, marked = certified(Arm(name="stack"), series, TWO_CORES)
    assert (steady.steady, steady.doubt, marked) == (True, None, series)
    jumping, marked = certified(Arm(name="out_of_the_box"), series, TWO_CORES)
    assert jumping.steady is False
    assert {sample.arm for sample in marked if sample.set_aside} == {"out_of_the_box"}


def test_a_hot_gpu_counts_at_the_pace_that_it_keeps_and_says_so() -> None:
    states = [
        MachineState(gpu=DeviceState(sm_clock_hz=clock, throttle_reasons=reasons))
        for clock, reasons in ((1.98e9, []), (1.2e9, ["sw_thermal_slowdown", "sw_power_cap"]))
    ]
    given = Arm(name="stack", before=states[0], after=states[1])
    series = samples(noise(20) * np.where(np.arange(20) < 8, 1.0, 1.6))
    arm, marked = certified(given, series, Processor("cuda", num_threads=2, num_cores=2))
    assert {sample.trial for sample in marked if sample.set_aside} == set(range(8))
    assert "The GPU was throttled (sw_thermal_slowdown), its clock 1.98 GHz then 1.20 GHz." in (arm.doubt or "")


def test_one_trial_that_stands_out_is_told_with_what_the_machine_did_then() -> None:
    """All of a neighbour's work may fall into one trial: the others agree, and the median is theirs."""
    seconds = noise(20)
    seconds[7] = 42.0
    busy = np.where(np.arange(20) == 7, 1.9, 0.0)
    wait = np.where(np.arange(20) == 7, 0.9, 0.0)
    arm, marked = certified(Arm(name="stack"), samples(seconds, busy, wait), TWO_CORES)
    assert arm.steady is True
    assert (arm.doubt or "").startswith("Trial 7 took 42.0 s, 42")
    assert "In the slow trials other work kept 1.9 of 2 cores busy" in (arm.doubt or "")
    assert not any(sample.set_aside for sample in marked)


def test_a_trial_of_twice_the_median_is_noise() -> None:
    seconds = noise(20)
    seconds[7] = 2.0
    arm, _ = certified(Arm(name="stack"), samples(seconds), TWO_CORES)
    assert arm.doubt is None
