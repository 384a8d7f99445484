"""The checks themselves, on the CPU and on made-up answers of a GPU."""

from __future__ import annotations

import gzip
import json
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from torch.autograd import DeviceType

from benchmarks.gpu_study.checks import (
    attribution,
    energy,
    gpu_state,
    latency,
    machine,
    memory,
    out_of_memory,
    overhead,
)
from benchmarks.gpu_study.checks.setting import Setting
from benchmarks.gpu_study.checks.traces import keep_trace, scrubbed
from suite.attribution.kineto import attribute
from suite.attribution.trace import read_trace
from suite.machine import Machine
from tests.suite.attribution.handmade import real_trace


@pytest.fixture
def cpu(tmp_path: Path) -> Setting:
    (tmp_path / "scratch").mkdir()
    return Setting("cpu", "smoke", tmp_path, tmp_path / "scratch")


def test_a_scrubbed_trace_tells_of_no_machine_and_sums_to_the_same(tmp_path: Path) -> None:
    document = {
        "schemaVersion": 1, "traceName": "/home/someone/trace.json", "hostname": "node-7", "baseTimeNanoseconds": 1,
        "deviceProperties": [{"id": 0, "name": "a GPU", "uuid": "GPU-1"}],
        "traceEvents": [
            {"ph": "M", "name": "process_name", "pid": 1, "args": {"name": "/usr/bin/python3"}},
            {"ph": "X", "cat": "kernel", "name": "triton_fused", "ts": 1, "dur": 2,
             "args": {"kernel_file": "/tmp/inductor_someone/ab/cd.py", "grid": [1, 2], "share": "1/2"}},
            {"ph": "X", "cat": "cpu_op", "name": "genscope/attention/spatial/vae.mid", "ts": 1, "dur": 2},
        ],
    }  # fmt: skip
    text = json.dumps(scrubbed(document))
    assert not [word for word in ("someone", "node-7", "GPU-1", "/tmp", "/usr") if word in text]
    assert "cd.py" in text
    assert '"1/2"' in text
    assert "genscope/attention/spatial/vae.mid" in text
    real = real_trace("vit_small")
    plain = tmp_path / "trace.json"
    plain.write_bytes(gzip.decompress(real.read_bytes()))
    kept = keep_trace(plain, tmp_path / "kept.json.gz")
    assert kept.passed
    before, after = (attribute(read_trace(path)) for path in (plain, tmp_path / "kept.json.gz"))
    assert after.kernel_total_s == before.kernel_total_s
    assert after.operators.equals(before.operators)


def test_a_trace_that_is_too_large_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.gpu_study.checks.traces.MOST_BYTES", 50)
    (tmp_path / "trace.json").write_text(
        json.dumps({"traceEvents": [{"name": "a", "ph": "X", "id": n} for n in range(99)]})
    )
    assert keep_trace(tmp_path / "trace.json", tmp_path / "kept.json.gz").passed is None
    assert not (tmp_path / "kept.json.gz").exists()


def test_a_real_trace_of_a_gpu_is_attributed() -> None:
    trace = read_trace(real_trace("vit_small"))
    rows = attribute(trace).operators.to_pylist()
    assert attribution._attributed(trace, rows, "no marks").figures["classified"] == 0  # of no stage
    found = attribution._attributed(trace, [row | {"stage": "generate"} for row in rows], "a trace")
    assert found.figures["launched"] == pytest.approx(1.0)
    whole = attribute(trace)
    known = (whole.kernel_total_s, whole.memcpy_total_s, whole.memset_total_s)
    assert found.figures["device_s"] == pytest.approx(sum(seconds or 0.0 for seconds in known))
    assert 0.9 < found.figures["classified"] <= 1


def test_torchs_device_time_is_that_of_kernels_alone() -> None:
    def average(device: DeviceType, annotation: bool, device_us: float, host_us: float) -> SimpleNamespace:
        return SimpleNamespace(
            device_type=device,
            is_user_annotation=annotation,
            self_device_time_total=device_us,
            self_cpu_time_total=host_us,
        )

    averages = [
        average(DeviceType.CUDA, False, 3e6, 0),
        average(DeviceType.CUDA, True, 50e6, 0),
        average(DeviceType.CPU, False, 3e6, 7e6),
    ]
    assert attribution._torch_s(averages, on_gpu=True) == 3
    assert attribution._torch_s(averages, on_gpu=False) == 7


SMI = "GPU-other, NVIDIA A, 300.00, 0x0000000000000000, 1000, 2000\nGPU-mine, NVIDIA H, 700.00, 0x0000000000000005, 345, 3201\n"
STATE = {
    "uuid": "mine",
    "name": "NVIDIA H",
    "power_limit_w": 700.0,
    "throttle_reasons": ["sw_power_cap"],
    "sm_clock_hz": 345e6,
}


def test_a_record_that_says_what_nvidia_smi_says_passes() -> None:
    found = gpu_state.compared(STATE, SMI)
    assert {name: verdict.passed for name, verdict in found.items()} == dict.fromkeys(found, True)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"power_limit_w": 350.0}, "power limit"),
        ({"power_limit_w": None}, "power limit"),
        ({"throttle_reasons": []}, "throttling"),
        ({"name": "NVIDIA A"}, "name"),
    ],
)
def test_a_record_that_says_something_else_fails(changed: dict, name: str) -> None:
    found = gpu_state.compared(STATE | changed, SMI)
    assert [what for what, verdict in found.items() if verdict.passed is False] == [name]


def test_what_nobody_tells_is_no_failure() -> None:
    assert gpu_state.compared(STATE, "")["all"].passed is None
    assert gpu_state.compared(STATE | {"throttle_reasons": None}, SMI)["throttling"].passed is None


@pytest.mark.parametrize(
    ("device_bytes", "passed"), [(None, None), (1000, False), (5000 + 2**29, True), (2**40, False)]
)
def test_nvml_must_hold_what_is_reserved_and_a_context(
    device_bytes: int | None, passed: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_nvidia_smi", str)
    assert memory._device({"device_bytes": device_bytes, "reserved_bytes": 5000}).passed is passed


@pytest.mark.parametrize("check", [gpu_state, out_of_memory])
def test_what_asks_a_gpu_is_not_told_without_one(check: object, cpu: Setting) -> None:
    assert {verdict.passed for verdict in check.check(cpu).values()} == {None}  # pyright: ignore


class Board:
    """Counts joules at some rate on a clock of its own, and says that it draws 100 W."""

    def __init__(self, counted_w: float) -> None:
        self.counted_w, self.now = counted_w, 0.0

    def energy_j(self) -> float:
        return self.counted_w * self.now

    def state(self) -> dict[str, float]:
        return {"power_w": 100.0}

    def generate(self) -> None:
        self.now += 1.0


@pytest.mark.parametrize(("counted_w", "passed"), [(101, True), (200, False)])
def test_joules_are_held_against_watts(counted_w: float, passed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(counted_w)
    subject = SimpleNamespace(generate=board.generate, clock=SimpleNamespace(synchronize=lambda: None))
    monkeypatch.setattr(energy, "time", SimpleNamespace(monotonic=lambda: board.now))
    monkeypatch.setattr(energy, "_sampled", lambda counter: nullcontext([100.0, 100.0]))
    found = energy._counted(subject, board)
    assert found["span"].passed
    assert found["power"].passed is passed
    assert found["power"].figures["ours"] == 3 * counted_w


def test_watts_are_sampled_while_something_runs() -> None:
    with energy._sampled(Board(1)) as watts:
        time.sleep(6 * energy.SAMPLING_S)
    number = len(watts)
    assert watts
    assert set(watts) == {100.0}
    time.sleep(3 * energy.SAMPLING_S)
    assert len(watts) == number


def test_rates_are_held_against_the_datasheet() -> None:
    datasheet = Machine(name="a", bandwidth_bytes_per_s=4e12, peak_flops_per_s={"bfloat16": 1e15, "float32": 5e13})
    reached = Machine(
        name="b", bandwidth_bytes_per_s=3.6e12, launch_overhead_s=4e-6,
        peak_flops_per_s={"bfloat16": 7e14, "float32": 5e12, "float8": 1e15, "int8": None},
    )  # fmt: skip
    found = machine.beside(reached, datasheet)
    assert {name: verdict.passed for name, verdict in found.items()} == {
        "bfloat16 FLOP/s": True, "float32 FLOP/s": False, "float8 FLOP/s": None, "bytes/s": True, "launch": None,
    }  # fmt: skip
    assert {verdict.passed for verdict in machine.beside(reached, None).values()} == {None}


@pytest.mark.slow
@pytest.mark.parametrize("check", [attribution, latency, machine, memory, overhead])
def test_it_runs_on_a_cpu(check: object, cpu: Setting) -> None:
    verdicts = check.check(cpu)  # pyright: ignore
    assert verdicts
    assert all(verdict.told for verdict in verdicts.values())
    if check in (attribution, memory):  # no clock is asked
        assert not [verdict for verdict in verdicts.values() if verdict.passed is False]
