"""Peaks of memory against torch's own counters, NVML's view against them, and the simulator against all."""

from __future__ import annotations

import subprocess
from typing import Any

from benchmarks.gpu_study.checks.setting import PAPER, Setting, Verdict, warm, within

QUESTION = "Are peaks those of torch.cuda.max_memory_*, does NVML agree, and is the simulator within 3 % and 10 %?"
SIMULATED = {"allocated_bytes": 0.03, "reserved_bytes": 0.10}
LARGEST_CONTEXT = 3 * 2**30
"""A CUDA context with libraries' workspaces and kernels loaded; half a GiB is usual."""


def check(setting: Setting) -> dict[str, Verdict]:
    verdicts = _case(setting)
    for name, overrides in PAPER.items() if setting.on_gpu else ():
        verdicts |= {f"{name}, {what}": verdict for what, verdict in _case(setting, *overrides).items()}
    return verdicts


def _case(setting: Setting, *overrides: str) -> dict[str, Verdict]:
    """The record's peaks against torch's and NVML's, and the simulator's against the record's."""
    from suite.probes.memory import Memory

    subject = setting.subject("probe=[memory]", *overrides)
    with warm(subject):
        by_hand = _by_hand(subject) if setting.on_gpu else {}
    ours = _whole(Memory().observe(subject).tables)
    verdicts = {
        f"torch's {name}": within(name, ours[name], theirs, 0.001, unit="bytes") for name, theirs in by_hand.items()
    }
    if setting.on_gpu:
        verdicts["device"] = _device(ours)
    del subject
    return verdicts | _simulated(setting, ours, *overrides)


def _by_hand(subject: Any) -> dict[str, int]:
    """Around one generation, with nothing cached before it."""
    import torch

    subject.last_output = None
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    output = subject.workload.generate()
    torch.cuda.synchronize()
    del output
    return {
        "allocated_bytes": torch.cuda.max_memory_allocated(),
        "reserved_bytes": torch.cuda.max_memory_reserved(),
    }


def _whole(tables: Any) -> dict[str, Any]:
    return next(row for row in tables["memory_peaks"].to_pylist() if row["stage"] == "generate")


def _device(ours: dict[str, Any]) -> Verdict:
    """What NVML says of this process holds what the allocator reserved, and a context."""
    seen = ours["device_bytes"]
    figures = {"device_bytes": seen, "reserved_bytes": ours["reserved_bytes"], "nvidia_smi": _nvidia_smi()}
    if seen is None:
        return Verdict(None, "Not told: NVML names no process of this one's id, as in a container of its own.", figures)
    context = seen - ours["reserved_bytes"]
    told = f"NVML says {seen} bytes, {context} more than the allocator reserved."
    return Verdict(0 <= context <= LARGEST_CONTEXT, told, figures | {"context_bytes": context})


def _nvidia_smi() -> str:
    command = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unavailable: {error}"


def _simulated(setting: Setting, ours: dict[str, Any], *overrides: str) -> dict[str, Verdict]:
    machine = setting.machine()
    named = [] if machine is None else [f"machine={machine}"]
    experiment = setting.experiment("execution=simulate", *named, *overrides)
    result = experiment.execution.execute(experiment, setting.scratch, lambda message: None)
    if result.record.outcome.status != "ok":
        return {"simulator": Verdict(False, f"The simulation ended as {result.record.outcome}.")}
    simulated = _whole(result.tables)
    return {
        f"simulator's {name}": within(f"simulated {name}", simulated[name], ours[name], tolerance, unit="bytes")
        for name, tolerance in SIMULATED.items()
        if ours[name] is not None and simulated[name] is not None
    }
