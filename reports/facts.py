"""One row a run: what it was, what it ran on, how it ended, and which runs it may be compared with."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportReturnType=false
from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from suite.record import Record

RUN_COLUMNS = ("run_id", "group", "workload", "family", "scale", "execution", "stack")
"""Columns of the run that every other table carries in front."""

OUT_OF_THE_BOX = "out_of_the_box"

ATTENTION_KERNELS = frozenset(
    {"baseline_attention", "cudnn_attention", "eager_attention", "efficient_attention", "flash_attention"}
)
"""Optimizations that do nothing but choose what computes attention's core."""
ATTENTION_OF_OLD = frozenset({"baseline_attention", "eager_attention"})
"""Those that are there to be compared with; nobody generates with them."""

_SHAPES_A_GROUP = ("scale", "execution", "device_name", "weights", "precision", "machine")


def run_facts(records: Sequence[Record], folders: Sequence[Path]) -> pd.DataFrame:
    """A row for each record, in order.

    ``group`` names the runs that differ in nothing but their optimizations: the same workload, scale, request,
    weights, device and machine. ``stack`` is unique within a group: where several runs have the same stack, the run id tells
    them apart; of those that do not differ in its arguments either (but in probes or protocol), the latest finished one keeps
    the plain name, so that a group has one run to compare with.
    """
    rows = [_row(record, folder) for record, folder in zip(records, folders, strict=True)]
    for row, group in zip(rows, _group_names(rows), strict=True):
        row["group"] = group
    named_alike: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        named_alike[row["group"], row["stack"]].append(index)
    for alike in named_alike.values():
        for index in set(alike) - _keeping_the_name(records, alike):
            rows[index]["stack"] += f" [{rows[index]['run_id'][:8]}]"
    first = [*RUN_COLUMNS, "outcome", "reason", "is_complete"]
    frame = pd.DataFrame(rows, columns=None if rows else first)
    return frame[[*first, *(column for column in frame.columns if column not in first)]]


def _keeping_the_name(records: Sequence[Record], alike: Sequence[int]) -> set[int]:
    """Of runs with equal names of their stacks the latest finished one; none where the arguments tell them apart."""
    arguments = [records[index].config.get("optimization") or {} for index in alike]
    if any(one != arguments[0] for one in arguments):
        return set()
    return {max(alike, key=lambda index: (records[index].outcome.status == "ok", records[index].created))}


def device_name(environment: Mapping[str, Any]) -> str | None:
    """The chip that a run ran on."""
    chip = environment.get("gpu") if environment.get("device") == "cuda" else environment.get("cpu")
    return chip.get("name") if isinstance(chip, Mapping) else environment.get("device")


def machine_name(record: Record) -> str | None:
    """The machine that a run's times were estimated for, or would have been; None where none was named."""
    machine = record.environment.get("machine") or record.config.get("machine")
    return machine.get("name") if isinstance(machine, Mapping) else None


def reference_label(record: Record) -> str | None:
    """Label of the stack that the user named to compare with; None where none was named."""
    names = record.config.get("reference")
    return "+".join(names) or None if isinstance(names, Mapping) else None


def is_attention_kernel(stack: str) -> bool:
    """Whether a stack, named as in `run_facts`, is one attention kernel and nothing else; the library's own choice is one."""
    return stack.split(" [", maxsplit=1)[0] in ATTENTION_KERNELS | {OUT_OF_THE_BOX}


def is_exact(record: Record) -> bool | None:
    """Whether every optimization that was applied must reproduce the output; None where the run did not come to it."""
    applied = next((arm.optimizations for arm in record.arms if arm.name == "stack"), None)
    return None if applied is None or record.outcome.status != "ok" else all(one.exact for one in applied)


def is_complete(record: Record) -> bool:
    """Whether a run has all its numbers: it ended well, or it simulates what its machine could not hold."""
    return record.outcome.status == "ok" or (record.outcome.status == "oom" and record.execution == "simulate")


def _row(record: Record, folder: Path) -> dict[str, Any]:
    device = record.config.get("device")
    row = {
        "run_id": record.run_id,
        "workload": record.workload.name,
        "family": record.workload.family,
        "scale": record.workload.scale,
        "execution": record.execution,
        "stack": record.label,
        "outcome": record.outcome.status,
        "reason": record.outcome.reason,
        "is_complete": is_complete(record),
        "reference": reference_label(record),
        "media": record.workload.media,
        "weights": record.workload.weights,
        "device_name": device_name(record.environment),
        "precision": device.get("precision") if isinstance(device, Mapping) else None,
        "machine": machine_name(record),
        "name": record.name,
        "created": record.created,
        "command": record.config.get("command"),
        "folder": str(folder),
    }
    # The request as the user wrote it, where the record has it: an optimization may change the one that was carried
    # out.
    request = record.config.get("request")
    asked = request if isinstance(request, Mapping) else record.request
    workload = record.config.get("workload")
    called = workload.get("call_arguments", {}) if isinstance(workload, Mapping) else {}
    row |= {f"request_{key}": _plain(value) for key, value in {**asked, **called}.items()}
    return row


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | bool) else json.dumps(value, sort_keys=True)


def _group_names(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The workload's name, with the value of whatever else differs between groups of that workload."""
    keys = [*_SHAPES_A_GROUP, *sorted({key for row in rows for key in row if key.startswith("request_")})]
    varied: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        for key in keys:
            varied[row["workload"], key].add(str(row.get(key)))
    names = []
    for row in rows:
        differing = [key for key in keys if len(varied[row["workload"], key]) > 1]
        words = [_word(key, row.get(key)) for key in differing]
        names.append(", ".join([row["workload"], *filter(None, words)]))
    return names


def _word(key: str, value: Any) -> str:
    """Nothing for what a run does not have, such as the machine that a measured one was not estimated for."""
    if value is None and not key.startswith("request_"):
        return ""
    return f"{key.removeprefix('request_')}={value}" if key.startswith("request_") else str(value)
