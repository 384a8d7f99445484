"""Share of each operator class, with a projection counted both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.breakdown import by_segment
from reports.comparison import identities
from reports.table import quantity, share, text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "time", 10
TITLE = "Operator classes"
CAPTION = (
    "Share of each operator class in the operator time of one profiled generation. Papers differ on where attention's "
    "projections (q, k, v, out) count: attention and linear are given in both readings."
)
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    text("Clock", "clock"),
    quantity("Time", "seconds", "s"),
    share("Attention, core only", "attention_core"),
    share("Attention with projections", "attention_with_projections"),
    share("Linear without projections", "linear"),
    share("Linear with projections", "linear_with_projections"),
    share("Convolution", "convolution"),
    share("Normalization", "normalization"),
    share("Elementwise", "elementwise"),
    share("Data movement", "data_movement"),
    share("Everything else", "everything_else"),
)

_OWN = ["convolution", "normalization", "elementwise", "data_movement"]


def build(runs: Runs) -> pd.DataFrame:
    """A row for each profiled run. Either reading of attention and of linear completes the other columns to 1."""
    frame = by_segment(runs)
    if frame.empty:
        return frame
    shares = frame.pivot_table(index="run_id", columns="segment", values="share", aggfunc="sum", fill_value=0.0)
    named = ["attention core", "attention projection", "linear"]
    core, projection, linear = (shares.reindex(columns=named, fill_value=0.0)[name] for name in named)
    table = shares.reindex(columns=_OWN, fill_value=0.0).assign(
        attention_core=core,
        attention_with_projections=core + projection,
        linear=linear,
        linear_with_projections=linear + projection,
    )
    rest = [name for name in shares if name not in (*_OWN, *named)]
    table["everything_else"] = shares[rest].sum(axis="columns")
    table["seconds"] = frame.groupby("run_id")["seconds"].sum()
    table["clock"] = frame.groupby("run_id")["clock"].first()
    return identities(runs).merge(table.reset_index(), on="run_id", sort=False)
