"""Measured execution: what is recorded when all goes well, and every way in which it can go wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import Noted, ToyWorkload, device_settings, quick_protocol

from suite import record as records
from suite import record_folder
from suite.environment import capture
from suite.errors import ConfigError
from suite.execution.measured import Measured, outcome_of
from suite.experiment import Experiment
from suite.optimizations.attention import AttentionKernel
from suite.probes.contract import Observation
from suite.probes.energy import EnergyProbe
from suite.probes.kernels import Kernels
from suite.probes.latency import Latency
from suite.probes.memory import Memory
from suite.probes.operators import Operators
from suite.scalars import EVENTS_FILE
from suite.workload import NotApplicableError, Placement, UnsupportedError


@dataclass(frozen=True)
class Failing:
    """A probe that throws what it was given."""

    error: Exception

    def observe(self, subject: Any) -> Observation:
        raise self.error


def experiment_of(folder: Path, make_workload: Callable[[], Any] = ToyWorkload, **changes: Any) -> Experiment:
    toy = ToyWorkload()
    values: dict[str, Any] = {
        "run_id": "toy", "name": "toy-run", "output_dir": folder, "config": {"execution": {"name": "measure"}},
        "command": "", "workload_name": "toy", "scale": "smoke", "weights_source": "random", "request": toy.request,
        "placement": toy.placement, "protocol": quick_protocol(), "make_workload": make_workload, "stack": {},
        "device_settings": device_settings(num_threads=None, deterministic=False),
        "reference": {}, "probes": {"latency": Latency()}, "execution": Measured(), "save_output": False, "save_trace": False,
    }  # fmt: skip
    return Experiment(**values | changes)


def run(experiment: Experiment) -> records.Record:
    return experiment.run(lambda message: None)


def test_a_run_is_recorded_whole(tmp_path: Path) -> None:
    probes = {"latency": Latency(), "operators": Operators(), "memory": Memory()}
    found = run(experiment_of(tmp_path, probes=probes, save_output=True))
    assert record_folder.load(tmp_path / "toy-run") == found
    assert found.outcome.status == "ok"
    assert found.workload.parts["decoder"].num_parameters == 16 * 3 + 3
    assert found.workload.notes == ["A toy."]
    assert found.environment["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert [cost.probe for cost in found.probe_costs] == ["operators", "memory"]
    assert all(cost.quiet_s for cost in found.probe_costs)
    assert found.files == [EVENTS_FILE, "output/image_0.txt"]
    assert {path.name for path in (tmp_path / "toy-run").iterdir()} == {
        "record.json", "operators.parquet", "memory.parquet", "memory_peaks.parquet", "output", EVENTS_FILE,
    }  # fmt: skip


def test_arms_that_differ_from_the_stack_are_measured_beside_it(tmp_path: Path) -> None:
    journal: list[str] = []
    stack, reference = {"a": Noted("a", journal)}, {"b": Noted("b", journal)}
    found = run(experiment_of(tmp_path, stack=stack, reference=reference))
    assert [arm.name for arm in found.arms] == ["stack", "out_of_the_box", "reference"]
    assert [[one.changes for one in arm.optimizations] for arm in found.arms] == [["a is on"], [], ["b is on"]]
    same = run(experiment_of(tmp_path, stack=stack, reference=stack))
    assert [arm.name for arm in same.arms] == ["stack", "out_of_the_box"]
    plain = run(experiment_of(tmp_path))
    assert [arm.name for arm in plain.arms] == ["stack"]


def test_warm_up_is_counted_checked_and_kept_apart(tmp_path: Path) -> None:
    found = run(experiment_of(tmp_path, protocol=quick_protocol(max_warmup_trials=5, steady_tolerance=1e9)))
    assert (found.arms[0].num_warmup_trials, found.arms[0].steady) == (3, True)
    warm = [sample for sample in found.samples if sample.warmup]
    assert len(warm) == 3
    assert len(found.latencies()) == 4
    hasty = run(experiment_of(tmp_path, protocol=quick_protocol(max_warmup_trials=1)))
    assert (hasty.arms[0].num_warmup_trials, hasty.arms[0].steady) == (1, False)


def test_a_stack_that_changes_nothing_is_not_applicable(tmp_path: Path) -> None:
    found = run(experiment_of(tmp_path, stack={"a": Noted("a", [], applicable=False)}))
    assert (found.outcome.status, found.outcome.reason) == ("not_applicable", "a changes nothing")
    assert found.samples == []
    assert found.workload.family == "diffusion_latent"


def test_a_reference_that_cannot_be_applied_is_noted_and_left_out(tmp_path: Path) -> None:
    found = run(experiment_of(tmp_path, reference={"b": Noted("b", [], applicable=False)}))
    assert found.outcome.status == "ok"
    assert [(arm.name, arm.outcome.status) for arm in found.arms] == [("stack", "ok"), ("reference", "not_applicable")]
    assert {sample.arm for sample in found.samples} == {"stack"}


def explode(error: Exception) -> Callable[[int], object]:
    def raise_it(call: int) -> None:
        raise error

    return raise_it


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "oom"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 byte"), "oom"),
        (MemoryError(), "oom"),
        (NotApplicableError("nothing to do"), "not_applicable"),
        (UnsupportedError("no such kernel"), "unsupported"),
        (RuntimeError("shapes\n  do not fit"), "failed"),
    ],
)
def test_what_goes_wrong_is_an_outcome_with_its_reason(error: Exception, status: str, tmp_path: Path) -> None:
    found = run(experiment_of(tmp_path, lambda: ToyWorkload(explode(error))))
    assert found.outcome.status == status == outcome_of(error).status
    assert found.outcome.reason
    assert "\n" not in found.outcome.reason
    assert (tmp_path / "toy-run" / "traceback.txt").exists() is (status == "failed")


def test_a_failing_probe_loses_nothing_that_was_seen_before(tmp_path: Path) -> None:
    probes = {"latency": Latency(), "broken": Failing(RuntimeError("no"))}
    found = run(experiment_of(tmp_path, probes=probes))
    assert found.outcome.status == "failed"
    assert found.outcome.reason == "RuntimeError: no"
    assert len(found.latencies()) == 4


def test_a_probe_that_cannot_observe_here_ends_the_run_before_anything_is_built(tmp_path: Path) -> None:
    def build(placement: Placement | None = None) -> ToyWorkload:
        raise AssertionError("a model that may fill the machine")

    kernels = Kernels(kinds=["spatial"], attention_kernels=["math"], max_shapes=1, timeout_s=1)
    found = run(experiment_of(tmp_path, build, probes={"latency": Latency(), "kernels": kernels}))
    assert found.outcome.status == "unsupported"
    assert "device=cuda" in str(found.outcome.reason)
    assert found.workload.name == "toy"
    assert found.environment["device"] == "cpu"


def test_energy_that_nobody_counts_is_recorded_with_its_reason(tmp_path: Path) -> None:
    probes = {"latency": Latency(), "energy": EnergyProbe(min_span_s=0.0, num_trials=1)}
    found = run(experiment_of(tmp_path, probes=probes))
    assert found.outcome.status == "ok"
    assert found.energy is not None
    counted = [sample.value for sample in found.samples if sample.metric == "energy_j"]
    assert counted == [] if found.energy.unavailable else counted[0] > 0
    assert record_folder.load(tmp_path / "toy-run") == found


def test_a_wrong_configuration_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    def refuse() -> Any:
        raise ConfigError("request.height=3: a multiple of 8 is needed")

    with pytest.raises(ConfigError):
        run(experiment_of(tmp_path, refuse))
    assert not list(tmp_path.iterdir())


def test_a_gpu_that_is_not_there_is_unsupported(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    from suite.workload import Placement

    found = run(experiment_of(tmp_path, placement=Placement(device="cuda", precision="bfloat16")))
    assert found.outcome.status == "unsupported"


def test_optimizations_go_by_the_gpu_that_a_run_is_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def captured(device: str) -> dict[str, Any]:
        return capture(device) | {"gpu": {"name": "Tesla T4", "compute_capability": "7.5"}}

    monkeypatch.setattr("suite.execution.measured.capture", captured)
    found = run(experiment_of(tmp_path, stack={"flash_attention": AttentionKernel("flash", ["math"])}))
    assert found.outcome.status == "unsupported"
    assert "this GPU's is 7.5" in (found.outcome.reason or "")


def test_process_settings_are_set_and_put_back(tmp_path: Path) -> None:
    before, seen = torch.get_num_threads(), []
    settings = device_settings(num_threads=1, deterministic=True)
    make = lambda: ToyWorkload(  # noqa: E731
        lambda call: seen.append((torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()))
    )
    run(experiment_of(tmp_path, make, device_settings=settings))
    assert set(seen) == {(1, True)}
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (before, False)
