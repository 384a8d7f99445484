"""Energy: joules of counters whose series are known, trials of all arms, and reasons instead of zeros."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pytest
from fake_nvml import STATE, UUID, FakeNvml, install
from toy import Noted, ToyWorkload, quick_protocol, toy_subject

from suite.errors import ConfigError
from suite.probes import energy
from suite.probes.energy import EnergyProbe
from suite.probes.rapl import Rapl
from suite.record import DeviceState, Energy
from suite.subject import Subject


def on_a_gpu(monkeypatch: pytest.MonkeyPatch, fake: FakeNvml | None) -> None:
    """Count with the fake's driver, whatever the toy runs on."""
    install(monkeypatch, fake)
    monkeypatch.setattr(energy, "gpu_uuid", lambda: UUID)
    counter_for = energy.counter_for
    monkeypatch.setattr(energy, "counter_for", lambda device: counter_for("cuda"))


def in_seconds(monkeypatch: pytest.MonkeyPatch, seconds: Iterable[float]) -> ToyWorkload:
    """A toy whose generations take these seconds, one after another, on the probe's clock."""
    now, each = [100.0], iter(seconds)
    monkeypatch.setattr(energy.time, "monotonic", lambda: now[0])
    return ToyWorkload(on_generate=lambda call: now.__setitem__(0, now[0] + next(each)))


def test_joules_are_the_counters_difference_over_the_generations_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first reading only tries the counter; then two trials, of 4 generations in 6 s and of 2 in 5 s.
    on_a_gpu(monkeypatch, FakeNvml(millijoules=[7, 1_000, 3_001_000, 3_500_000, 4_600_000]))
    subject = toy_subject(tmp_path, in_seconds(monkeypatch, [1.5, 1.5, 1.5, 1.5, 2.5, 2.5]))
    found = EnergyProbe(min_span_s=5.0, num_trials=2).observe(subject)
    assert [(sample.metric, sample.value, sample.trial, sample.stage) for sample in found.samples] == [
        ("energy_j", 3000.0 / 4, 0, "generate"),
        ("energy_j", 1100.0 / 2, 1, "generate"),
    ]
    assert found.energy is not None
    assert (found.energy.covers, found.energy.unavailable) == ("gpu_board", None)
    assert [(trial.num_generations, trial.span_s) for trial in found.energy.trials] == [(4, 6.0), (2, 5.0)]
    state = msgspec.convert(STATE, DeviceState)
    assert all(trial.before == trial.after == state for trial in found.energy.trials)
    assert state.temperature_c is None


def test_one_generation_that_is_long_enough_is_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_gpu(monkeypatch, FakeNvml(millijoules=[0, 0, 9_000_000]))
    found = EnergyProbe(min_span_s=5.0, num_trials=1).observe(toy_subject(tmp_path, in_seconds(monkeypatch, [30.0])))
    assert [sample.value for sample in found.samples] == [9000.0]


def test_every_arm_is_counted_in_alternating_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_gpu(monkeypatch, FakeNvml(millijoules=(1_000 * count**2 for count in range(9))))
    journal: list[str] = []
    arms = {name: {name: Noted(name, journal)} for name in ("stack", "out_of_the_box")}
    subject = Subject(ToyWorkload(), arms, quick_protocol(), tmp_path)
    found = EnergyProbe(min_span_s=0.0, num_trials=2).observe(subject)
    order = [line[1:] for line in journal if line.startswith("+")]
    assert order == ["stack", "out_of_the_box", "out_of_the_box", "stack"]
    # Readings 1, 4, 9, ... 64 J in pairs: 4 - 1, 16 - 9, 36 - 25, 64 - 49.
    assert [(sample.arm, sample.trial, sample.value) for sample in found.samples] == [
        ("stack", 0, 3.0), ("out_of_the_box", 0, 7.0), ("out_of_the_box", 1, 11.0), ("stack", 1, 15.0)
    ]  # fmt: skip
    assert found.energy is not None
    assert [(trial.arm, trial.trial) for trial in found.energy.trials] == [
        (sample.arm, sample.trial) for sample in found.samples
    ]


@pytest.mark.parametrize(
    ("fake", "reason"),
    [
        (None, "nvidia-ml-py is not installed"),
        (FakeNvml(missing="NVML Shared Library Not Found"), "NVML Shared Library Not Found"),
        (FakeNvml(millijoules=None), "Not Supported"),
        (FakeNvml(millijoules=[5, 5, 5]), "the energy counter stood still during"),
    ],
    ids=["no library", "no driver", "no counter", "a counter that stands still"],
)
def test_what_cannot_be_read_is_a_reason_and_no_sample(
    fake: FakeNvml | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_gpu(monkeypatch, fake)
    found = EnergyProbe(min_span_s=0.0, num_trials=1).observe(toy_subject(tmp_path))
    assert found.samples == []
    assert found.energy is not None
    assert found.energy.unavailable is not None
    assert found.energy.unavailable.startswith(reason)
    assert (found.energy.covers, found.energy.trials) == (None, [])


def test_nothing_is_generated_for_a_counter_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_gpu(monkeypatch, FakeNvml(millijoules=None))
    workload = ToyWorkload()
    EnergyProbe(min_span_s=60.0, num_trials=3).observe(toy_subject(tmp_path, workload))
    assert workload.num_calls == 0


def test_a_cpu_is_counted_by_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "powercap" / "intel-rapl:0"
    package.mkdir(parents=True)
    for name, value in {"name": "package-0", "energy_uj": "1000000", "max_energy_range_uj": "9000000"}.items():
        (package / name).write_text(value)
    monkeypatch.setattr(energy, "Rapl", lambda: Rapl(tmp_path / "powercap"))

    def draw(call: int) -> None:
        (package / "energy_uj").write_text(str(1_000_000 + 2_500_000 * call))

    found = EnergyProbe(min_span_s=0.0, num_trials=1).observe(toy_subject(tmp_path, ToyWorkload(on_generate=draw)))
    assert [sample.value for sample in found.samples] == [2.5]
    assert found.energy is not None
    assert found.energy.covers == "cpu_packages"
    assert found.energy.trials[0].before == DeviceState()


def test_a_simulation_tells_why_there_are_no_joules(tmp_path: Path, experiment: Callable) -> None:
    asked = experiment(
        "workload=parti", "execution=simulate", "probe=[latency,energy]", f"output_dir={tmp_path}", "request.seed=1"
    )
    record = asked.run(lambda message: None)
    assert record.outcome.status == "ok"
    assert record.energy is not None
    assert "simulation" in str(record.energy.unavailable)
    assert not [sample for sample in record.samples if sample.metric == "energy_j"]


def test_a_cpu_without_a_counter_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "Rapl", lambda: Rapl(tmp_path / "nowhere"))
    found = EnergyProbe(min_span_s=0.0, num_trials=1).observe(toy_subject(tmp_path))
    assert found.energy == Energy(unavailable=f"no RAPL package in {tmp_path / 'nowhere'}")


@pytest.mark.parametrize(
    ("changes", "key"), [({"min_span_s": -1.0}, "min_span_s=-1"), ({"num_trials": 0}, "num_trials=0")]
)
def test_trials_that_cannot_be_made_are_refused(changes: dict, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"probe\.energy\.{key}"):
        EnergyProbe(**{"min_span_s": 1.0, "num_trials": 1} | changes)
