"""Runs beside the published rows of Streamlined Inference (Zhan et al. 2024, Table 1): memory, work and time of every stack."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.claims.claim import SEEN_WORDS
from reports.claims.sources.zhan_2024 import GIB, METHODS, SOURCE
from reports.comparison import in_order, latencies
from reports.estimates import estimates
from reports.facts import OUT_OF_THE_BOX, is_exact
from reports.reading import read_table
from suite.estimates import chosen_machine
from suite.record import Record

if TYPE_CHECKING:
    from pathlib import Path

    from reports.runs import Runs

FULL = 0.5
"""A step is a full one if it has this share of the FLOPs of the run's costliest step; those that reuse features have less."""


@lru_cache(maxsize=4)
def beside_published(runs: Runs) -> pd.DataFrame:
    """A row for each run of a model, length and size of the published table, bytes and seconds. Treat it as read-only.

    Groups without a finished run of the workload out of the box are left out: there is nothing to relate their runs to. First
    the workload out of the box, then exact stacks, approximate ones, and what did not run; in each the hungriest first.
    ``relative_memory`` and ``relative_time`` are the stack's figures over the workload's own; the published ones alike.
    """
    records = {record.run_id: (record, folder) for record, folder in zip(runs.records, runs.folders, strict=True)}
    known = [_row(runs, run, *records[run["run_id"]]) for run in in_order(runs).to_dict("records")]
    frame = pd.DataFrame([row for row in known if row is not None])
    if frame.empty:
        return frame
    frame["rank"] = frame["is_exact"].map({True: 1, False: 2}).where(frame["allocated_bytes"].notna(), 3)
    frame.loc[frame["stack"] == OUT_OF_THE_BOX, "rank"] = 0
    related = [_related(rows) for _, rows in frame.groupby("group", sort=False)]
    return pd.concat([*related, frame.iloc[:0]], ignore_index=True).drop(columns="rank")


def _related(rows: pd.DataFrame) -> pd.DataFrame:
    """One group in order with its ratios; no rows without a baseline, or with nothing else."""
    baseline = rows[(rows["stack"] == OUT_OF_THE_BOX) & rows["allocated_bytes"].notna()]
    if baseline.empty or len(rows) == 1:
        return rows.iloc[:0]
    own = baseline.iloc[0]
    rows = rows.sort_values(["rank", "allocated_bytes"], ascending=[True, False], kind="stable")
    return rows.assign(
        relative_memory=rows["allocated_bytes"] / own["allocated_bytes"],
        relative_time=rows["seconds"] / own["seconds"],
        published_relative_memory=rows["published_peak_bytes"] / own["published_peak_bytes"],
        published_relative_time=rows["published_s"] / own["published_s"],
    )


def _row(runs: Runs, run: dict[Any, Any], record: Record, folder: Path) -> dict[str, Any] | None:
    size = {key: record.request.get(key) for key in ("num_frames", "height", "width")}
    name = record.workload.name
    case = f"{name} {size['height']}x{size['width']}"
    is_published = f"{case} original" in SOURCE.claims["table_1_peak"].cases
    if (
        record.workload.scale != "paper"
        or not is_published
        or size["num_frames"] != SOURCE.requests[name]["num_frames"]
    ):
        return None
    row = {key: run[key] for key in ("run_id", "group", "workload", "stack", "outcome", "reason")} | size
    row |= {"is_exact": is_exact(record)} | _peaks(folder) | steps_and_work(folder) | _time(runs, record)
    return row | _published(name, case, record.label)


def _peaks(folder: Path) -> dict[str, float | None]:
    """Peaks of the whole generation, and what lives beside the weights in the denoising steps and in decoding."""
    peaks = read_table(folder, "memory_peaks").to_pandas().set_index("stage")

    def at(stage: str, column: str) -> float | None:
        return float(peaks.loc[stage, column]) if stage in peaks.index else None

    return {
        "allocated_bytes": at("generate", "allocated_bytes"),
        "reserved_bytes": at("generate", "reserved_bytes"),
        "device_bytes": at("generate", "device_bytes"),
        "weights_bytes": at("generate", "weights_bytes"),
        "denoise_bytes": at("denoise_step", "activations_bytes"),
        "decode_bytes": at("decode", "activations_bytes"),
    }


def steps_and_work(folder: Path) -> dict[str, float | None]:
    """FLOPs of the generation, and its steps: how many there are and how many of them run the whole denoiser."""
    rows = read_table(folder, "operators", ["stage", "step", "flops"]).to_pandas()
    if rows.empty:
        return {"flops": None, "steps": None, "full_steps": None}
    steps = rows[rows["stage"] == "denoise_step"].groupby("step")["flops"].sum()
    return {
        "flops": float(rows["flops"].sum()),
        "steps": len(steps),
        "full_steps": int((steps >= FULL * steps.max()).sum()),
    }


def _time(runs: Runs, record: Record) -> dict[str, Any]:
    """Seconds of a generation: measured, or estimated on the run's machine."""
    measured, found = latencies(runs), estimates(runs)
    mine = measured[measured["run_id"] == record.run_id] if len(measured) else measured
    if len(mine):
        return {"seconds": float(mine["median_s"].iloc[0]), "time_is": "measured"}
    name = chosen_machine(record).name
    rows = found[(found["run_id"] == record.run_id) & (found["machine"] == name)] if len(found) else found
    if rows.empty:
        return {"seconds": None, "time_is": None}
    return {"seconds": float(rows["seconds"].sum(skipna=False)), "time_is": f"estimated, {name}"}


def _published(workload: str, case: str, stack: str) -> dict[str, Any]:
    """What Table 1 has for a stack; its GB are read as GiB."""
    method = next((theirs for theirs, ours in METHODS.items() if ours == stack), None)
    claims = SOURCE.claims
    peak_gib = claims["table_1_peak"].cases.get(f"{case} {method}")
    where = f"{SEEN_WORDS[claims['table_1_peak'].seen]}, on {SOURCE.hardware}"
    return {
        "published_peak_bytes": peak_gib and peak_gib * GIB,  # pyright: ignore[reportOperatorIssue]
        "published_s": claims["table_1_latency"].cases.get(f"{case} {method}"),
        "published_fvd": claims["table_1_fvd"].cases.get(f"{workload} {method}"),
        "published_in": where if peak_gib else None,
    }
