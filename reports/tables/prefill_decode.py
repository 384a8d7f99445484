"""All tokens at a time or one: query lengths and arithmetic intensity of every stage that attends (Golden et al. 2024)."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.comparison import in_order
from reports.estimates import estimates
from reports.table import count, number, text
from suite.estimates import chosen_machine
from suite.stage import STAGES

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "time", 36
TITLE = "Prefill and decode"
CAPTION = (
    "Query and key lengths of the denoiser's attention calls by stage, and what the stage computes for each byte that its "
    "operators move (simulated runs only): as a whole, in attention's core, and in convolutions and products with weights. "
    "A stage whose queries are one token long is like a language model's decode, one with more at once like its prefill."
)
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    text("Stage", "stage"),
    count("Spans", "spans"),
    count("Attention calls", "calls"),
    count("Shortest query", "min_query_length"),
    count("Longest query", "max_query_length"),
    count("Shortest key", "min_key_length"),
    count("Longest key", "max_key_length"),
    text("Like", "like"),
    number("FLOP/byte moved", "flops_per_byte"),
    number("FLOP/byte, attention core", "core_flops_per_byte"),
    number("FLOP/byte, products with weights", "weighted_flops_per_byte"),
)
PREFILL, DECODE = "prefill", "decode"
CORE = "attention core"
WEIGHTED = ("attention projection", "convolution", "linear")
_KEYS = ["run_id", "stage"]


def build(runs: Runs) -> pd.DataFrame:
    """A row for each run and stage in which the denoiser attends; tokens, and FLOPs a byte."""
    ordered = in_order(runs)
    ordered = ordered.loc[ordered["is_complete"], ["run_id", "group", "stack"]]
    columns = ["module", "stage", "step", "query_length", "key_length"]
    calls = runs.table("attention", list(ordered["run_id"]), columns) if len(ordered) else pd.DataFrame()
    if calls.empty:
        return pd.DataFrame()
    calls = calls[calls["module"].astype(str).str.startswith("denoiser")].astype(dict.fromkeys(_KEYS, object))
    lengths = calls.groupby(_KEYS).agg(
        spans=("step", lambda steps: max(steps.nunique(), 1)),
        calls=("query_length", "size"),
        min_query_length=("query_length", "min"),
        max_query_length=("query_length", "max"),
        min_key_length=("key_length", "min"),
        max_key_length=("key_length", "max"),
    )
    lengths["like"] = [DECODE if longest == 1 else PREFILL for longest in lengths["max_query_length"]]
    frame = ordered.merge(lengths.reset_index(), on="run_id").merge(_intensities(runs), on=_KEYS, how="left")
    position = {run_id: index for index, run_id in enumerate(ordered["run_id"])}
    keys = pd.DataFrame({"run": frame["run_id"].map(position), "stage": frame["stage"].map(STAGES.index)})
    return frame.loc[keys.sort_values(["run", "stage"]).index].reset_index(drop=True)


def _intensities(runs: Runs) -> pd.DataFrame:
    """FLOPs a byte moved of each simulated run and stage: whole, of attention's core, and of products with weights."""
    names = ["flops_per_byte", "core_flops_per_byte", "weighted_flops_per_byte"]
    frame = estimates(runs)
    if frame.empty:
        return pd.DataFrame(columns=[*_KEYS, *names])
    mine = {record.run_id: chosen_machine(record).name for record in runs.records}
    frame = frame[frame["machine"] == frame["run_id"].map(mine)]  # FLOPs and bytes are the same on every machine
    chosen = (frame, frame[frame["segment"] == CORE], frame[frame["segment"].isin(WEIGHTED)])
    sums = [rows.groupby(_KEYS)[["flops", "bytes"]].sum() for rows in chosen]
    columns = [(each["flops"] / each["bytes"]).rename(name) for name, each in zip(names, sums, strict=True)]
    return pd.concat(columns, axis="columns").reset_index()
