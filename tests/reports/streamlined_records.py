"""Runs of AnimateDiff at a published size, with peaks, FLOPs and times that are known by construction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from suite import record_folder
from suite.record import Applied, Arm, Outcome, Record, Sample, WorkloadFacts
from suite.record_tables import TABLES

GIB = 2**30
SECOND = 312 * 10**12
"""FLOPs of a second of an A100 in bfloat16."""
REQUEST = {"height": 576, "width": 1024, "num_frames": 16, "num_inference_steps": 4}


def save_run(
    folder: Path,
    stack: Sequence[str],
    peak_gib: float | None = None,
    step_flops: Sequence[int] = (SECOND,) * 4,
    *,
    exact: bool | Sequence[bool] = True,
    samples: Sequence[Sample] = (),
    outcome: Outcome | None = None,
    **changes: Any,
) -> Path:
    """One run; its weights are 2 GiB, and steps need half of what decoding needs beside them."""
    name = "+".join(stack) or "out_of_the_box"
    workload = WorkloadFacts(name="animatediff", media="video", scale=changes.get("scale", "paper"))
    exactness = [exact] * len(stack) if isinstance(exact, bool) else exact
    doubt = changes.get("doubt")
    applied = [Applied(name=name, exact=one, changes="something") for name, one in zip(stack, exactness, strict=True)]
    found = Record(
        run_id=f"{name}-{changes.get('scale', 'paper')}", name=name, created="2026-01-01T00:00:00+00:00", workload=workload,
        execution="measure" if samples else "simulate", outcome=outcome or Outcome(status="ok"), samples=list(samples),
        request={**REQUEST, **changes.get("request", {})},
        arms=[] if outcome else [Arm(name="stack", optimizations=applied, doubt=doubt)],
        config={"optimization": {each: {} for each in stack}, "device": {"precision": "bfloat16"}} | changes.get("config", {}),
    )  # fmt: skip
    tables = {} if peak_gib is None else {"operators": _operators(step_flops), "memory_peaks": _peaks(peak_gib)}
    rows = {key: pa.Table.from_pylist(kept, schema=TABLES[key]) for key, kept in tables.items()}
    record_folder.save(found, rows, folder / found.run_id)
    return folder


def _operators(step_flops: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {"stage": "denoise_step", "step": step, "module": "denoiser.x", "operator": "aten::convolution", "calls": 1,
         "operator_class": "convolution", "precision": "bfloat16", "flops": flops, "bytes_read": 0, "bytes_written": 0}
        for step, flops in enumerate(step_flops)
    ]  # fmt: skip


def _peaks(peak_gib: float) -> list[dict[str, Any]]:
    def peak(stage: str, activations_gib: float) -> dict[str, Any]:
        beside = int(activations_gib * GIB)
        return {"stage": stage, "weights_bytes": 2 * GIB, "activations_bytes": beside,
                "allocated_bytes": 2 * GIB + beside, "reserved_bytes": 3 * GIB + beside}  # fmt: skip

    beside = peak_gib - 2
    return [peak("generate", beside), peak("denoise_step", beside / 2), peak("decode", beside)]
