"""Simulated records of one generation whose operators and attention calls are handed in row by row."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from suite import record_folder
from suite.record import Outcome, Part, Profile, Record, WorkloadFacts
from suite.record_tables import TABLES


def operator(operator_class: str, seconds: float | None, flops: int = 0, **columns: Any) -> dict[str, Any]:
    """An operator row of the first denoising step; it moves a tenth of a byte for each FLOP unless told otherwise."""
    kind, part = columns.pop("kind", None), columns.pop("part", None)
    row = {"stage": "denoise_step", "step": 0, "module": "denoiser.block", "operator": "aten::op", "precision": "bfloat16",
           "calls": 1, "bytes_read": flops // 10, "bytes_written": 0}  # fmt: skip
    row |= {"operator_class": operator_class, "estimated_s": seconds, "flops": flops}
    return row | {"attention_kind": kind, "attention_part": part} | columns


def attention(kind: str, queries: int, keys: int, **columns: Any) -> dict[str, Any]:
    """An attention call of the first denoising step: eight heads of 64."""
    row = {"call": 0, "stage": "denoise_step", "step": 0, "module": f"denoiser.block.{kind}", "attention_kind": kind,
           "batch": 1, "heads": 8, "query_length": queries, "key_length": keys, "head_dim": 64}  # fmt: skip
    return row | columns


def save_run(
    folder: Path,
    workload: str = "toy",
    stack: str | None = None,
    *,
    operators: Iterable[dict[str, Any]] = (),
    calls: Iterable[dict[str, Any]] = (),
    peaks: Iterable[dict[str, Any]] = (),
    activity: Iterable[dict[str, Any]] = (),
    **facts: Any,
) -> Path:
    """One run below `folder`; ``dimensions`` and ``parts`` (parameters by name) may be given. Returns `folder`."""
    name = f"{workload}-{stack or 'out_of_the_box'}"
    parts = {
        part: Part(class_name="Toy", num_parameters=n, weight_bytes=2 * n) for part, n in facts.get("parts", {}).items()
    }
    found = Record(
        run_id=name, name=name, created="2026-01-01T00:00:00+00:00", execution="simulate", outcome=Outcome(status="ok"),
        workload=WorkloadFacts(name=workload, family="diffusion_pixel", media="image", scale="paper", parts=parts),
        config={"optimization": {stack: {}} if stack else {}, "workload": {"dimensions": facts.get("dimensions", {})},
                "device": {"precision": "bfloat16"}},
        profile=Profile(num_steps=facts.get("num_steps")),
    )  # fmt: skip
    tables = {"operators": operators, "attention": calls, "memory_peaks": peaks, "device_activity": activity}
    arrow = {table: pa.Table.from_pylist(list(rows), schema=TABLES[table]) for table, rows in tables.items()}
    record_folder.save(found, arrow, folder / name)
    return folder
