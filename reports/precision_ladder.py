"""Number formats, memory layouts and compilers, alone and on top of each other: time, memory, fidelity and price."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.comparison import in_order, latencies
from reports.estimates import estimates
from reports.facts import OUT_OF_THE_BOX
from reports.tables import cost
from reports.trade_offs import fidelity_words, trade_offs
from suite.estimates import chosen_machine

if TYPE_CHECKING:
    from reports.runs import Runs
    from suite.record import Record

RUNG = re.compile(r"(bf16|fp16|fp8|int8|channels_last|torch_compile|cuda_graphs|onnxruntime|tensorrt)\w*")
"""Optimizations that leave alone what is computed, and change only in which numbers, layout and kernels."""


@lru_cache(maxsize=4)
def precision_ladder(runs: Runs) -> pd.DataFrame:
    """A row for each run whose stack is made of such optimizations alone, in groups that have any. Treat it as read-only.

    First the workload out of the box, then single rungs and then stacks of them. Columns of `trade_offs`, and besides
    ``seconds`` of a generation, ``usd_per_1000`` of images or videos on the run's own machine, and ``first_s``: the first
    generation of all, which compiles and is no trial. What did not run has its ``outcome`` and ``reason`` alone.
    """
    records = {record.run_id: record for record in runs.records}
    frame = in_order(runs)[["run_id", "group", "workload", "stack", "precision", "outcome", "reason"]]
    frame = frame[[_is_rung(records[run_id]) for run_id in frame["run_id"]]]
    related = trade_offs(runs)
    if frame.empty or related.empty:
        return pd.DataFrame()
    frame = frame[frame["group"].isin(set(related["group"])) & frame["group"].isin(_groups_with_rungs(frame))]
    if frame.empty:
        return pd.DataFrame()
    known = related.drop(columns=["group", "workload", "stack"])
    frame = frame.merge(known, on="run_id", how="left").merge(_seconds(runs), on="run_id", how="left")
    frame = frame.merge(_prices(runs), on="run_id", how="left").merge(_first(runs), on="run_id", how="left")
    frame["output"] = [fidelity_words(row) if row["outcome"] == "ok" else None for row in frame.to_dict("records")]
    itself = (frame["stack"] == OUT_OF_THE_BOX) & (frame["outcome"] == "ok")
    frame["relative_time"] = frame["relative_time"].astype(float).mask(itself, 1.0)
    return _by_length(frame, records)


def _is_rung(record: Record) -> bool:
    return all(RUNG.fullmatch(name) for name in record.stack)


def _groups_with_rungs(frame: pd.DataFrame) -> set[str]:
    """Groups in which something besides the workload out of the box ran."""
    return set(frame.loc[(frame["stack"] != OUT_OF_THE_BOX) & (frame["outcome"] == "ok"), "group"])


def _by_length(frame: pd.DataFrame, records: dict[str, Record]) -> pd.DataFrame:
    """Group by group; shorter stacks first, and among those of one length half precision before the rest."""
    stacks = [records[run_id].stack for run_id in frame["run_id"]]
    is_half = [not any(name.startswith(("bf16", "fp16")) for name in stack) for stack in stacks]
    keys = pd.DataFrame(
        {"group": pd.factorize(frame["group"])[0], "length": [len(stack) for stack in stacks], "is_half": is_half},
        index=frame.index,
    )
    return frame.loc[keys.sort_values(list(keys), kind="stable").index].reset_index(drop=True)


def _seconds(runs: Runs) -> pd.DataFrame:
    """Seconds of one generation with the interval of their median, or estimated on the run's machine."""
    rows: list[dict[str, Any]] = [
        {
            "run_id": row["run_id"],
            "seconds": row["median_s"],
            "seconds_low": row["low_s"],
            "seconds_high": row["high_s"],
        }
        for row in latencies(runs).to_dict("records")
    ]
    found = estimates(runs)
    if not found.empty:
        mine = _own_machines(runs)
        found = found[found["machine"] == found["run_id"].map(mine)]
        sums = found.groupby("run_id")["seconds"].agg(lambda column: column.sum(skipna=False))
        rows += [{"run_id": run_id, "seconds": seconds} for run_id, seconds in sums.items()]
    return pd.DataFrame(rows, columns=["run_id", "seconds", "seconds_low", "seconds_high"])


def _prices(runs: Runs) -> pd.DataFrame:
    """Dollars for 1,000 images or videos: of a measured run where it ran, of a simulated one on the machine that it named."""
    found, mine = cost.build(runs), _own_machines(runs)
    columns = ["run_id", "machine", "usd_per_1000"]
    if found.empty:
        return pd.DataFrame(columns=columns)
    own = (found["basis"] == "measured") | (found["machine"] == found["run_id"].map(mine))
    return found.loc[own, columns].drop_duplicates("run_id")


def _own_machines(runs: Runs) -> dict[str, str]:
    return {record.run_id: chosen_machine(record).name for record in runs.records}


def _first(runs: Runs) -> pd.DataFrame:
    """Seconds of the first generation of each run's own stack."""
    samples = runs.samples
    is_first = samples["warmup"].astype(bool) & (samples["trial"] == 0)
    whole = (samples["metric"] == "latency_s") & (samples["stage"] == "generate") & (samples["arm"] == "stack")
    found = samples.loc[is_first & whole, ["run_id", "value"]].rename(columns={"value": "first_s"})
    return found.astype({"run_id": object})
