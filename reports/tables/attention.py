"""Attention by kind: time in both readings, sequence lengths, and the kernels that ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.breakdown import by_kind
from reports.comparison import identities
from reports.table import count, quantity, share, text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "time", 20
TITLE = "Attention by kind"
CAPTION = (
    "Time of attention by kind, its core (QK\u1d40, softmax, AV) and its projections (q, k, v, out), each kind's share of all "
    "attention in both readings, and the lengths and kernels of its calls. A kernel is the one that ran, not the one asked for."
)
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    text("Kind", "kind"),
    quantity("Core", "core_s", "s"),
    quantity("Projections", "projection_s", "s", unit_from="core_s"),
    share("Share of attention, core only", "share_core"),
    share("Share of attention, with projections", "share_with_projections"),
    count("Calls", "calls"),
    count("Shortest query", "min_query_length"),
    count("Longest query", "max_query_length"),
    count("Longest key", "max_key_length"),
    text("Kernels", "kernels"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each run and attention kind; seconds and tokens."""
    times, calls = _times(runs), _calls(runs)
    if times.empty and calls.empty:
        return pd.DataFrame()
    both = times.merge(calls, on=["run_id", "kind"], how="outer", sort=False)
    return identities(runs).merge(both, on="run_id", sort=False)


def _times(runs: Runs) -> pd.DataFrame:
    frame = by_kind(runs)
    if frame.empty:
        return pd.DataFrame(
            columns=["run_id", "kind", "core_s", "projection_s", "share_core", "share_with_projections"]
        )
    wide = frame.pivot_table(index=["run_id", "kind"], columns="part", values="seconds", aggfunc="sum", fill_value=0.0)
    wide = wide.reindex(columns=["core", "projection"], fill_value=0.0)
    whole = wide.groupby(level="run_id").transform("sum")
    wide["share_core"] = wide["core"] / whole["core"]
    wide["share_with_projections"] = (wide["core"] + wide["projection"]) / whole.sum(axis="columns")
    return wide.rename(columns={"core": "core_s", "projection": "projection_s"}).reset_index()


def _calls(runs: Runs) -> pd.DataFrame:
    calls = runs.attention
    if calls.empty:
        return pd.DataFrame(
            columns=["run_id", "kind", "calls", "min_query_length", "max_query_length", "max_key_length"]
        )
    keys = [calls["run_id"].astype(object), calls["attention_kind"].astype(object).fillna("unknown").rename("kind")]
    grouped = calls.groupby(keys, sort=False)
    table = grouped.agg(
        calls=("call", "size"),
        min_query_length=("query_length", "min"),
        max_query_length=("query_length", "max"),
        max_key_length=("key_length", "max"),
    )
    # Names are joined for the few different ones: a function called for every group takes most of a second.
    named = pd.concat([*keys, calls["kernel"].astype(object)], axis="columns").dropna().drop_duplicates()
    named = named.sort_values("kernel")
    table["kernels"] = named.groupby(["run_id", "kind"])["kernel"].agg(", ".join)
    return table.reset_index()
