"""The first run on a GPU: a tiny video model with every probe that needs nothing installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.gpu_study.checks.setting import Setting, Verdict

QUESTION = "Does a run with every probe end well, with rows in its tables and samples of its metrics?"
PROBES = "probe=[latency,operators,attention,memory,fidelity]"
TABLES = ("operators", "attention", "memory_peaks", "memory")
METRICS = ("latency_s", "psnr_db")


def check(setting: Setting) -> dict[str, Verdict]:
    overrides = ("workload=animatediff", "scale=smoke", "optimization=operator_grouping", "protocol=quick", PROBES)
    experiment = setting.experiment(*overrides)
    said: list[str] = []
    result = experiment.execution.execute(experiment, setting.scratch, said.append)
    outcome = result.record.outcome
    reason = f": {outcome.reason}" if outcome.reason else ""
    notes = list(result.record.workload.notes)
    return {
        "outcome": Verdict(outcome.status == "ok", f"{outcome.status}{reason}.", {"notes": notes, "said": said}),
        "contents": _contents(result.tables, [sample.metric for sample in result.record.samples]),
    }


def _contents(tables: Mapping[str, Any], metrics: Sequence[str]) -> Verdict:
    counts = {name: tables[name].num_rows if name in tables else 0 for name in TABLES}
    counts |= {name: metrics.count(name) for name in METRICS}
    told = ", ".join(f"{name} {number}" for name, number in counts.items())
    return Verdict(all(counts.values()), f"Rows and samples: {told}.", counts)
