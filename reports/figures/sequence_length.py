"""How the sequence length changes through a generation: the query and key length of every attention call."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.comparison import in_order
from reports.palette import BAND, FAINT, KIND_COLOURS, RULE
from reports.panels import MAX_GROUPS, span_number
from reports.style import legend_on_top, new_figure, readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "time", 30
TITLE = "Sequence length"

_COLUMNS = 1200  # of the left panels: more dots beside one another cannot be told apart
_MAX_BOUNDARIES = 40  # of steps; beyond that lines would hide the data


def data(runs: Runs) -> pd.DataFrame:
    """Attention calls of the first finished run of each group, in time order."""
    chosen = _first_of_each_group(runs).head(MAX_GROUPS)
    if chosen.empty:
        return pd.DataFrame()
    rows = runs.table("attention", list(chosen["run_id"]))
    columns = ["run_id", "call", "stage", "step", "attention_kind", "batch", "query_length", "key_length"]
    rows = rows[columns].astype({"run_id": object, "stage": object, "attention_kind": object})
    rows["kind"] = rows["attention_kind"].where(rows["attention_kind"].isin(list(KIND_COLOURS)), "unknown")
    return chosen[["run_id", "group", "workload", "stack"]].merge(rows.drop(columns="attention_kind"), on="run_id")


def caption(runs: Runs) -> str:
    stacks = ", ".join(dict.fromkeys(data(runs)["stack"]))
    return (
        "Query length (dots) and key length (rings, where it differs) of every attention call in time order. Left: the whole "
        f"generation, with the bounds of its steps; right: one step, drawn larger. Runs shown: {stacks}.{_left_out(runs)}"
    )


def alt_text(runs: Runs) -> str:
    extremes = data(runs).groupby(["group", "kind"], sort=False)["query_length"].agg(["min", "max"])
    parts = [
        f"{group} {kind} from {row['min']:,.0f} to {row['max']:,.0f}" for (group, kind), row in extremes.iterrows()
    ]
    return "Dots of query length by attention call. Range by kind: " + "; ".join(parts[:20]) + "."


def _left_out(runs: Runs) -> str:
    known, drawn = _first_of_each_group(runs)["group"], data(runs)["group"].unique()
    return f" Drawn are {len(drawn)} of {len(known)} groups of runs." if len(known) > len(drawn) else ""


def _first_of_each_group(runs: Runs) -> pd.DataFrame:
    ordered = in_order(runs)
    return ordered[ordered["is_complete"]].drop_duplicates("group")


def draw(runs: Runs) -> Figure | None:
    from matplotlib.ticker import MaxNLocator

    frame = data(runs)
    if frame.empty:
        return None
    groups = list(frame["group"].unique())
    figure = new_figure(0.45 + 1.2 * len(groups))
    panels = figure.subplots(len(groups), 2, squeeze=False, width_ratios=[2.2, 1], sharey="row")
    for (whole, one), group in zip(panels, groups, strict=True):
        calls = frame[frame["group"] == group]
        _draw_calls(whole, _apart(calls), size=1.6)
        _draw_bounds(whole, calls)
        step = _middle_step(calls)
        _draw_calls(one, step, size=3.2, joined=True)
        whole.set_title(readable(group))
        whole.set_ylabel("tokens")
        _set_scale(whole, calls)
        label = (
            "one pass"
            if step["step"].isna().all()
            else f"{readable(step['stage'].iloc[0])} {int(step['step'].iloc[0])}"
        )
        one.set_title(label, fontweight="normal")
        if len(step) != len(calls):
            whole.axvspan(step["call"].min() - 0.5, step["call"].max() + 0.5, color=BAND, linewidth=0, zorder=0)
    for axes in panels.flat:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for axes in panels[-1]:
        axes.set_xlabel("attention call")
    legend_on_top(figure, _legend(frame))
    return figure


def _draw_calls(axes: Axes, calls: pd.DataFrame, size: float, *, joined: bool = False) -> None:
    if joined:
        axes.plot(calls["call"], calls["query_length"], color=RULE, linewidth=0.7, zorder=1)
    for kind, colour in KIND_COLOURS.items():
        rows = calls[calls["kind"] == kind]
        differs = rows[rows["key_length"] != rows["query_length"]]
        axes.plot(differs["call"], differs["key_length"], "o", markersize=size, markerfacecolor="none", color=colour,
                  markeredgewidth=0.5, linestyle="none")  # fmt: skip
        axes.plot(
            rows["call"], rows["query_length"], "o", markersize=size, color=colour, markeredgewidth=0, linestyle="none"
        )
    axes.grid(axis="y")


def _apart(calls: pd.DataFrame) -> pd.DataFrame:
    """Without dots that would lie on one another, which are most of a long generation's."""
    column = (calls["call"] - calls["call"].min()) * _COLUMNS // (calls["call"].max() - calls["call"].min() + 1)
    places = calls[["kind", "query_length", "key_length"]].assign(column=column)
    return calls[~places.duplicated()]


def _draw_bounds(axes: Axes, calls: pd.DataFrame) -> None:
    starts = calls.groupby(span_number(calls))["call"].first().iloc[1:]
    if len(starts) <= _MAX_BOUNDARIES:
        for start in starts:
            axes.axvline(start - 0.5, color=RULE, linewidth=0.5, zorder=0)
    axes.set_xlim(calls["call"].min() - 0.5, calls["call"].max() + 0.5)


def _tick(value: float, _: object) -> str:
    return f"{value:,.0f}" if value >= 1 else ""


def _set_scale(axes: Axes, calls: pd.DataFrame) -> None:
    """Powers of two where lengths span more than a factor of eight, else linear from zero."""
    lengths = pd.concat([calls["query_length"], calls["key_length"]])
    lengths = lengths[lengths > 0]
    if len(lengths) and lengths.max() / lengths.min() > 8:
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter(_tick)
        axes.set_ylim(lengths.min() / 1.6, lengths.max() * 1.6)
    else:
        axes.set_ylim(0, float(lengths.max()) * 1.15 if len(lengths) else 1)


def _middle_step(calls: pd.DataFrame) -> pd.DataFrame:
    """The calls of one step from the middle of the run; all of them where nothing is stepped."""
    stepped = calls[calls["step"].notna()]
    if stepped.empty:
        return calls
    steps = stepped.drop_duplicates(["stage", "step"])[["stage", "step"]]
    middle = steps.iloc[len(steps) // 2]
    return stepped[(stepped["stage"] == middle["stage"]) & (stepped["step"] == middle["step"])]


def _legend(frame: pd.DataFrame) -> dict[str, object]:
    from matplotlib.lines import Line2D

    entries: dict[str, object] = {
        kind: Line2D([], [], color=colour, marker="o", linestyle="none", markersize=3.5, markeredgewidth=0)
        for kind, colour in KIND_COLOURS.items()
        if (frame["kind"] == kind).any()
    }
    ring = Line2D([], [], color=FAINT, marker="o", linestyle="none", markersize=3.5, markerfacecolor="none")
    return entries | {"key length, where it differs": ring}
