"""Where the time goes: seconds of each operator class and attention kind of a run, in both readings of a projection.

Frames are kept between calls: treat them as read-only.
"""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from reports.comparison import identities
from reports.palette import CLASS_COLOURS, KIND_COLOURS

if TYPE_CHECKING:
    from reports.runs import Runs

CLOCKS = {
    "device_self_s": "device time",
    "host_self_s": "host time",
    "estimated_s": "estimated time",
}
"""Columns that may hold a run's seconds, best first. A run uses one of them for all its rows."""

SEGMENTS = tuple(CLASS_COLOURS)
KINDS = tuple(KIND_COLOURS)


ESTIMATED = CLOCKS["estimated_s"]
"""How the name of a clock begins that nobody read; the machine follows, where the run named one."""


@lru_cache(maxsize=4)
def timed_totals(runs: Runs) -> pd.DataFrame:
    """The rows of `all_totals` that have a clock."""
    totals = all_totals(runs)
    return totals[totals["clock"].notna()]


@lru_cache(maxsize=4)
def all_totals(runs: Runs) -> pd.DataFrame:
    """Operator totals with ``seconds`` of the run's best clock, ``clock`` (its name), ``segment`` and ``kind``."""
    totals = with_clock(runs, runs.operator_totals)
    totals["segment"] = segments(totals)
    kind = totals["attention_kind"].astype(object)
    known = kind.where(kind.isin(KINDS), "unknown")
    totals["kind"] = known.where(totals["segment"].str.startswith("attention"), None)
    return totals


def with_clock(runs: Runs, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with ``seconds`` of their run's best clock, and its name as ``clock``; null where a run has none."""
    has = {column: rows.groupby("run_id", observed=True)[column].sum() > 0 for column in CLOCKS}
    owner = rows["run_id"].astype(object)
    seconds = pd.Series(np.nan, index=rows.index)
    clock = pd.Series(None, index=rows.index, dtype=object)
    for column in reversed(CLOCKS):
        usable = owner.map(has[column]).fillna(False).astype(bool)
        seconds[usable] = rows.loc[usable, column].fillna(0.0)
        clock[usable] = CLOCKS[column]
    machine = owner.map(runs.runs.set_index("run_id")["machine"])
    clock = clock.mask((clock == ESTIMATED) & machine.notna(), f"{ESTIMATED} on " + machine.astype(str))
    return rows.assign(seconds=seconds, clock=clock)


@lru_cache(maxsize=4)
def timed_names(runs: Runs) -> pd.DataFrame:
    """Operators by name, with ``seconds`` and ``clock``, of runs that have one."""
    rows = with_clock(runs, runs.operators_by_name)
    return rows[rows["clock"].notna()]


def shares_of(rows: pd.DataFrame, chosen: pd.Series) -> pd.Series:
    """Of each run the share of its seconds in the chosen rows."""
    sums = rows[["run_id", "seconds"]].assign(chosen=rows["seconds"].where(chosen, 0.0))
    sums = sums.groupby("run_id", observed=True, sort=False)[["seconds", "chosen"]].sum()
    return sums["chosen"] / sums["seconds"]


@lru_cache(maxsize=4)
def by_segment(runs: Runs) -> pd.DataFrame:
    """Seconds of each segment of a run: operator classes, with attention's core and projections apart.

    ``share`` is of the run itself, ``relative`` of the whole time of its group's baseline run; rows as in `in_order`,
    then as the segments are stacked.
    """
    totals = timed_totals(runs)
    if totals.empty:
        return pd.DataFrame()
    seconds = totals.groupby(["run_id", "clock", "segment"], observed=True)["seconds"].sum().reset_index()
    return _with_shares(runs, seconds, "segment", SEGMENTS)


@lru_cache(maxsize=4)
def by_kind(runs: Runs) -> pd.DataFrame:
    """Seconds of attention by kind and part (``core``, ``projection``), with ``share`` of the whole run."""
    totals = timed_totals(runs)
    if totals["kind"].isna().all():
        return pd.DataFrame()
    whole = totals.groupby("run_id", observed=True)["seconds"].sum()
    attention = totals[totals["kind"].notna()].copy()
    attention["part"] = attention["segment"].str.removeprefix("attention ")
    keys = ["run_id", "clock", "kind", "part"]
    seconds = attention.groupby(keys, observed=True)["seconds"].sum().reset_index()
    seconds["share"] = seconds["seconds"] / seconds["run_id"].astype(object).map(whole)
    frame = identities(runs).merge(seconds, on="run_id", sort=False)
    return _ranked(frame, "kind", KINDS)


def clock_words(frame: pd.DataFrame) -> str:
    """Which clocks a frame's seconds are of, for a caption."""
    clocks = frame["clock"].unique()
    return " and ".join(clock if clock.startswith(ESTIMATED) else f"{clock} of the profiled pass" for clock in clocks)


def axis_words(frame: pd.DataFrame) -> str:
    """The same in few words, for an axis."""
    clocks = {ESTIMATED if clock.startswith(ESTIMATED) else clock for clock in frame["clock"].unique()}
    return clocks.pop() if len(clocks) == 1 else "time"


def segments(totals: pd.DataFrame) -> pd.Series:
    """Stacked-bar segment of each row: what belongs to an attention module counts as attention, its projections
    apart.
    """
    classes = totals["operator_class"].astype(object)
    part = totals["attention_part"].astype(object)
    segment = classes.where(classes.isin(SEGMENTS), "other")
    segment = segment.mask(classes == "attention", "attention core")
    return segment.mask(part == "core", "attention core").mask(part == "projection", "attention projection")


def _with_shares(runs: Runs, seconds: pd.DataFrame, column: str, order: tuple[str, ...]) -> pd.DataFrame:
    frame = identities(runs).merge(seconds, on="run_id", sort=False)
    whole = frame.groupby("run_id")["seconds"].transform("sum")
    baseline = frame[frame["is_baseline"]].groupby("group")["seconds"].sum()
    frame["share"] = frame["seconds"] / whole
    frame["relative"] = frame["seconds"] / frame["group"].map(baseline)
    return _ranked(frame, column, order)


def _ranked(frame: pd.DataFrame, column: str, order: tuple[str, ...]) -> pd.DataFrame:
    """`frame` with each run's rows in `order`, the runs staying where they are."""
    run_rank = frame["run_id"].map({run: index for index, run in enumerate(frame["run_id"].unique())})
    rank = frame[column].map({name: index for index, name in enumerate(order)})
    ranks = pd.DataFrame({"run": run_rank, "rank": rank})
    return frame.loc[ranks.sort_values(["run", "rank"]).index].reset_index(drop=True)
