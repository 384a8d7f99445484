"""What ran and on what: request, versions, machine, and the command that repeats each run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.comparison import in_order
from reports.table import run_id, text

if TYPE_CHECKING:
    from reports.runs import Runs
    from suite.record import Record

SECTION, ORDER = "setup", 10
TITLE = "Runs"
CAPTION = "Every run, what it was asked for, what it ran on, and the command that repeats it."
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    run_id("Run", "run_id"),
    text("Made", "created"),
    text("Request", "request"),
    text("Device", "device"),
    text("Versions", "versions"),
    text("Source", "source"),
    text("Command", "command"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each run."""
    records = {record.run_id: record for record in runs.records}
    rows = []
    for run in in_order(runs).to_dict("records"):
        record = records[run["run_id"]]
        row = {key: run[key] for key in ("group", "stack", "run_id", "created")}
        row |= {"request": _pairs(record.request), "device": _device(run["device_name"], record.environment)}
        row |= {"versions": _pairs(record.environment.get("packages")), "source": _source(record)}
        row["command"] = _command(record)
        rows.append(row)
    return pd.DataFrame(rows)


def _pairs(values: Any) -> str | None:
    if not isinstance(values, Mapping):
        return None
    return ", ".join(f"{key} {value}" for key, value in values.items() if value is not None) or None


def _device(name: Any, environment: Mapping[str, Any]) -> str | None:
    torch = environment.get("torch")
    threads = torch.get("num_threads") if isinstance(torch, Mapping) else None
    if environment.get("device") == "cuda" or threads is None or not isinstance(name, str):
        return name if isinstance(name, str) else None
    return f"{name}, {threads} {'thread' if threads == 1 else 'threads'}"


def _source(record: Record) -> str | None:
    git = record.environment.get("git")
    if not isinstance(git, Mapping) or not git.get("commit"):
        return None
    return f"{str(git['commit'])[:10]}{' with local changes' if git.get('dirty') else ''}"


def _command(record: Record) -> str | None:
    command = record.config.get("command")
    if isinstance(command, list):
        command = " ".join(map(str, command))
    return f"python run.py {command}" if isinstance(command, str) else None
