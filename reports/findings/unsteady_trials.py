"""Trials of more than one kind, or other work on the machine: the latency is of what the machine did as well."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reports.findings.finding import Finding
from suite.steadiness import assess

if TYPE_CHECKING:
    from reports.runs import Runs

ORDER, TITLE = 5, "The machine was not quiet"
THRESHOLD = "trials that step, drift or change between speeds by 5 %, or threads that wait for a core 10 % of the time"


def find(runs: Runs) -> Iterator[Finding]:
    """Each run with its most doubtful arm; the value is the slowest regime over the fastest."""
    trials = runs.samples
    whole = trials[(trials["metric"] == "latency_s") & (trials["stage"] == "generate")]
    quiet = whole[~whole["warmup"].astype(bool)].sort_values("trial")
    series = {key: rows.to_numpy() for key, rows in quiet.groupby(["run_id", "arm"], observed=True)["value"]}
    for record in runs.records:
        doubtful = [
            (assess(series[key]).ratio, arm)
            for arm in record.arms
            if arm.doubt and (key := (record.run_id, arm.name)) in series
        ]
        if doubtful:
            ratio, arm = max(doubtful, key=lambda pair: pair[0])
            whose = "" if arm.name == "stack" else f"in the arm {arm.name.replace('_', ' ')}: "
            yield Finding(record.run_id, ratio, f"{whose}{arm.doubt}")
