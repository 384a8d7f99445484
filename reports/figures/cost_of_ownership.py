"""Cost of ownership: price and energy of 1,000 images or videos on each machine, and which machines are too small."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.cost_of_ownership import (
    DOES_NOT_FIT,
    UPPER_BOUND,
    costs,
    machines_by_price,
    price_notes,
    short_name,
)
from reports.facts import OUT_OF_THE_BOX
from reports.palette import BAND, FAINT, RULE, stack_colours
from reports.panels import shown, what_is_left_out
from reports.style import legend_on_top, new_figure, readable
from suite.units import rounded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "cost", 15
TITLE = "Cost of ownership"

QUANTITIES = {
    "usd_per_1000": ("USD", "usd_per_hour", "USD/h", "price unknown"),
    "kwh_per_1000": ("kWh", "power_w", "W", "power unknown"),
}
"""Rows of panels: the unit, the machine's figure behind it and its unit, and what stands where that is not known."""
_LANE = 0.13
"""Share of a panel's width for runs that do not fit."""
_MANY_TICKS = 60
"""From this ratio of an axis' ends on it has room for powers of ten alone."""


def data(runs: Runs) -> pd.DataFrame:
    """Rows of the costs, if a price or an energy is known of any."""
    frame = costs(runs)
    return frame if frame.empty or frame[list(QUANTITIES)].notna().any(axis=None) else frame.iloc[:0]


def caption(runs: Runs) -> str:
    frame = data(runs)
    bases = " and ".join(dict.fromkeys(frame["basis"]))
    errors = "; ".join(dict.fromkeys(frame.loc[frame["seconds"].notna(), "error"].dropna()))
    energies = " and ".join(dict.fromkeys(frame["energy_is"].dropna()))
    crosses = (
        f" A cross in the grey lane: the stack {DOES_NOT_FIT} there, its peak of allocated memory is more than a process's "
        "context leaves of the machine's."
        if (frame["fits"] == DOES_NOT_FIT).any()
        else ""
    )
    return (
        "Price (top) and energy (bottom) of 1,000 images or videos by machine, the cheapest an hour first, rented for just "
        f"the time of the generations.{crosses} Time: {bases}{f'; its error: {errors}' if errors else ''}. Energy: {energies}"
        f"{', for the given time' if UPPER_BOUND in energies else ''}. Stacks may change the output."
        + price_notes(frame)
        + what_is_left_out(frame)
    )


def alt_text(runs: Runs) -> str:
    parts = []
    for _, rows in data(runs).groupby("run_id", sort=False):
        priced = rows.dropna(subset=["usd_per_1000"])
        too_small = int((rows["fits"] == DOES_NOT_FIT).sum())
        text = f"{rows['group'].iloc[0]} {rows['stack'].iloc[0]}: {DOES_NOT_FIT} on {too_small} of {len(rows)} machines"
        if len(priced):
            least = priced.loc[priced["usd_per_1000"].idxmin()]
            text += f", cheapest on {least['machine']}, {rounded(least['usd_per_1000'])} USD"
        parts.append(text)
    return "Dots of price and energy of 1,000 items by machine. " + "; ".join(parts[:24]) + "."


def draw(runs: Runs) -> Figure | None:
    frame = shown(data(runs)).copy()
    if frame.empty:
        return None
    machines = machines_by_price(frame)
    names, stacks = list(machines["machine"]), list(dict.fromkeys(frame["stack"]))
    colours = stack_colours(stacks, OUT_OF_THE_BOX)
    frame["at"] = frame["machine"].map(names.index) + _spread(frame["stack"], stacks)
    groups = dict(list(frame.groupby("group", sort=False)))
    figure = new_figure(1.3 + 0.47 * len(names))
    panels = figure.subplots(2, len(groups), sharey="row", squeeze=False)
    for row, (quantity, (unit, figure_name, its_unit, missing)) in zip(panels, QUANTITIES.items(), strict=True):
        row[0].set_yticks(
            range(len(names)), [_label(machine, figure_name, its_unit) for machine in machines.itertuples()]
        )
        for label in row[0].get_yticklabels():
            label.set(fontsize=5.8, linespacing=1.05, va="center")
        row[0].set_ylim(len(names) - 0.45, -0.55)
        for axes, rows in zip(row, groups.values(), strict=True):
            _panel(axes, rows, quantity, colours, missing)
            axes.set_xlabel(f"{unit} / 1,000 {rows['item'].iloc[0]}s")
    for axes, group in zip(panels[0], groups, strict=True):
        axes.set_title(fill(readable(group), 15))
    legend_on_top(figure, _legend(colours, (frame["fits"] == DOES_NOT_FIT).any()))
    return figure


def _label(machine: Any, figure_name: str, unit: str) -> str:
    value = getattr(machine, figure_name)
    return f"{short_name(machine.machine)}\n{'not known' if pd.isna(value) else f'{value:g} {unit}'}"


def _spread(own: pd.Series, stacks: list[str]) -> pd.Series:
    """How far from a machine's middle each stack's dot is, so that equal ones do not cover each other."""
    return (own.map(stacks.index) - (len(stacks) - 1) / 2) * 0.7 / max(len(stacks), 4)


def _panel(axes: Axes, rows: pd.DataFrame, quantity: str, colours: dict[str, str], missing: str) -> None:
    from matplotlib.ticker import LogLocator

    known = rows[rows[quantity].astype(float) > 0]
    axes.set_xscale("log")
    left, right = _limits(known[quantity])
    for stack, dots in known.groupby("stack"):
        axes.plot(dots[quantity].astype(float), dots["at"], "o", color=colours[str(stack)], markersize=2.7,
                  markeredgewidth=0)  # fmt: skip
    axes.set_xlim(left * (left / right) ** (_LANE / (1 - _LANE)), right)
    too_large = rows[rows["fits"] == DOES_NOT_FIT]
    if len(too_large):
        axes.axvspan(axes.get_xlim()[0], left, color=BAND, linewidth=0, zorder=0)
    for stack, crosses in too_large.groupby("stack"):
        axes.plot([_LANE / 2] * len(crosses), crosses["at"], "x", color=colours[str(stack)], markersize=2.4,
                  markeredgewidth=0.7, transform=axes.get_yaxis_transform())  # fmt: skip
    for _, of_machine in rows[rows["fits"] != DOES_NOT_FIT].groupby("machine"):
        if not of_machine[quantity].notna().any():
            word = "time unknown" if of_machine["seconds"].isna().all() else missing
            axes.annotate(word, (0.5 + _LANE / 2, round(of_machine["at"].mean())), xycoords=axes.get_yaxis_transform(),
                          ha="center", va="center_baseline", fontsize=5, color=FAINT)  # fmt: skip
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if right / left < _MANY_TICKS else (1,)))
    axes.xaxis.set_major_formatter(_plain)
    axes.minorticks_off()
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    for edge in range(len(axes.get_yticks())):
        axes.axhline(edge + 0.5, color=RULE, linewidth=0.3, zorder=0)


def _limits(values: pd.Series) -> tuple[float, float]:
    """Ends of a logarithmic axis with room around the dots, a decade apart at least."""
    if values.empty:
        return 0.1, 1.0
    low, high = float(values.min()) / 1.35, float(values.max()) * 1.35
    stretch = max((10 / (high / low)) ** 0.5, 1.0)
    return low / stretch, high * stretch


def _plain(value: float, _: object) -> str:
    return f"{value:g}"


def _legend(colours: dict[str, str], with_cross: bool) -> dict[str, Any]:
    from matplotlib.lines import Line2D

    def mark(marker: str, colour: str) -> Line2D:
        return Line2D([], [], color=colour, marker=marker, markersize=3.4, linestyle="none")

    entries = {readable(stack): mark("o", colour) for stack, colour in colours.items()}
    return entries | ({DOES_NOT_FIT: mark("x", FAINT)} if with_cross else {})
