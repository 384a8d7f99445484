"""Device time by operator against torch's own sums; a small trace is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu_study.checks.setting import Setting, Verdict, warm, within
from benchmarks.gpu_study.checks.traces import keep_trace

QUESTION = (
    "Do the rows of the operator table sum to what key_averages() sums to, and is 99 % of the device's time attributed?"
)
TINY = ("workload=flux", "scale=smoke", "request.num_inference_steps=1")
"""Gives the traces that are kept: flux has the fewest operators of a step."""
CASES: dict[str, Sequence[str]] = {"eager": ("request.num_inference_steps=2",), "eager_tiny": TINY}
ATTRIBUTED = 0.99
SUM_TOLERANCE = {"cuda": 1e-3, "cpu": 0.02}
"""Kernels are the same events on both sides; the host's sum there lacks what lies between torch's operators."""


def check(setting: Setting) -> dict[str, Verdict]:
    return of_cases(setting, CASES)


def of_cases(setting: Setting, cases: Mapping[str, Sequence[str]]) -> dict[str, Verdict]:
    """The verdicts on each case, by its name and what was asked."""
    verdicts: dict[str, Verdict] = {}
    for name, overrides in cases.items():
        try:
            verdicts |= {f"{name}: {what}": one for what, one in _case(setting, name, overrides).items()}
        except Exception as error:  # a compiler that fails leaves the other cases worth having
            verdicts[name] = Verdict(False, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    return verdicts


def _case(setting: Setting, name: str, overrides: Sequence[str]) -> dict[str, Verdict]:
    from suite.attribution.kineto import attribute
    from suite.attribution.trace import read_trace

    subject = setting.subject(*overrides)
    path = setting.scratch / f"{name}.json"
    with warm(subject):
        averages = _profiled(subject, path)
    trace = read_trace(path)
    found = attribute(trace)
    column = "device_self_s" if setting.on_gpu else "host_self_s"
    ours = sum(value or 0.0 for value in found.operators[column].to_pylist())
    verdicts = {"sum": within(f"{name}, {column}", ours, _torch_s(averages, setting.on_gpu),
                              SUM_TOLERANCE[setting.device], unit="s", num_events=found.num_events)}  # fmt: skip
    if setting.on_gpu:
        verdicts["attributed"] = _attributed(trace, found.operators.to_pylist(), name)
    if name == "eager":
        return verdicts
    return verdicts | {"trace": keep_trace(path, setting.folder / f"{setting.device}_{name}.json.gz")}


def _profiled(subject: Any, path: Path) -> Any:
    """As `suite.profiling.profile_generation` does it, and torch's own averages of the very same events."""
    from suite.attribution.scopes import StageScopes, module_scopes
    from suite.profiling import profiled
    from suite.stage import watched_by

    workload = subject.workload
    with (
        profiled(workload.placement.device, path, record_shapes=True) as profiler,
        watched_by([StageScopes()]),
        module_scopes(workload.parts, workload.attention_rules),
    ):
        subject.generate()
        subject.clock.synchronize()
    return profiler.key_averages()


def _torch_s(averages: Any, on_gpu: bool) -> float:
    """The total that torch prints under its own table (torch/autograd/profiler_util.py)."""
    from torch.autograd import DeviceType

    if not on_gpu:
        return sum(one.self_cpu_time_total for one in averages) / 1e6
    kernels = [one for one in averages if one.device_type == DeviceType.CUDA and not one.is_user_annotation]
    return sum(one.self_device_time_total for one in kernels) / 1e6


def _attributed(trace: Any, rows: Sequence[dict[str, Any]], name: str) -> Verdict:
    """The share of device time whose launch is known, and that which has a class and a stage."""
    from suite.attribution.context import find_context
    from suite.attribution.device import device_work
    from suite.attribution.events import arrange

    events = arrange(trace)
    work = device_work(trace, events, find_context(events))
    whole_ns = int(work.duration_ns.sum())
    if not whole_ns:
        return Verdict(False, f"{name}: the trace holds no device time.")
    launched = int(work.duration_ns[work.origin >= 0].sum()) / whole_ns
    known = [row for row in rows if row["operator_class"] != "other" and row["stage"] is not None]
    classified = sum(row["device_self_s"] or 0.0 for row in known) / (whole_ns / 1e9)
    told = f"{name}: {launched:.2%} of the device's time is joined to its launch, {classified:.2%} has a class and a stage."
    passed = launched >= ATTRIBUTED and classified >= ATTRIBUTED
    return Verdict(passed, told, {"launched": launched, "classified": classified, "device_s": whole_ns / 1e9})
