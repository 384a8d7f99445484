"""Too large a generation as a recorded outcome, after which the next run starts clean."""

from __future__ import annotations

import gc
from typing import Any

from benchmarks.gpu_study.checks.setting import Setting, Verdict

QUESTION = "Is running out of memory an outcome of the run, and does the next one start clean?"
HEADROOM = 64 * 2**20
"""What the too large run is left beyond the peak of one that fits: the error of a full device, without its minutes."""
SLACK = 2**20
"""Bytes that libraries may keep from one run to the next."""


def check(setting: Setting) -> dict[str, Verdict]:
    if not setting.on_gpu:
        return setting.cannot_tell()
    import torch

    torch.cuda.reset_peak_memory_stats()
    first, before = _status(setting), _held()
    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.max_memory_reserved() + HEADROOM) / total))
    try:
        too_large, after = _status(setting, "request.batch_size=64"), _held()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    last, at_end = _status(setting), _held()
    statuses = [outcome.status for outcome in (first, too_large, last)]
    figures = {"allocated_bytes": [before, after, at_end], "reason": too_large.reason}
    return {
        "outcome": Verdict(statuses == ["ok", "oom", "ok"], f"Outcomes in turn: {', '.join(statuses)}.", figures),
        "clean": Verdict(
            max(after, at_end) <= before + SLACK,
            f"Allocated bytes after each of the runs: {before}, {after}, {at_end}.",
            figures,
        ),
    }


def _status(setting: Setting, *overrides: str) -> Any:
    experiment = setting.experiment("protocol=quick", "probe=[latency]", *overrides)
    return experiment.execution.execute(experiment, setting.scratch, lambda message: None).record.outcome


def _held() -> int:
    import torch

    gc.collect()
    return torch.cuda.memory_allocated()
