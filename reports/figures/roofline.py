"""Roofline: what each simulated workload asks for, under what one machine can give."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from reports.comparison import in_order
from reports.estimates import added, estimates
from reports.letters import letters_at
from reports.palette import CLASS_COLOURS, FAINT, INK
from reports.style import COLUMN_INCHES, new_figure, readable
from suite.estimates import chosen_machine, error_words, own_machine
from suite.roofline import number_format
from suite.tensor_cores import Tf32
from suite.units import rounded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reports.runs import Runs
    from suite.machine import Machine

SECTION, ORDER = "cost", 10
TITLE = "Roofline"

MAX_RUNS = 12
"""Workloads that the figure has room for."""
WHOLE = "whole run"
_AXES_POINTS = (2.7 * 72, 1.6 * 72)
"""About how large the axes are, to know which letters would lie on each other."""
_RIDGE_POINTS = 44
"""How high over its foot a ridge is named: the legend stands below."""
_GROUND = {"boxstyle": "circle,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}


def data(runs: Runs) -> pd.DataFrame:
    """FLOPs, bytes and estimated seconds of the first run of each group on one machine: whole, and by class of operators."""
    drawn = _drawn(runs)
    if drawn.empty:
        return drawn
    found, machine = estimates(runs), _machine(runs)
    own = found[(found["machine"] == machine.name) & found["run_id"].isin(drawn["run_id"].head(MAX_RUNS))]
    whole = added(own, "run_id").reset_index().assign(segment=WHOLE)
    parts = pd.concat(
        [added(rows, "segment").assign(run_id=run_id) for run_id, rows in own.groupby("run_id", sort=False)]
    )
    frame = pd.concat([whole, parts.reset_index()], ignore_index=True)
    frame = frame[(frame["flops"] > 0) & (frame["seconds"] > 0)].assign(machine=machine.name)
    frame["flops_per_byte"] = frame["flops"] / frame["bytes"]
    frame["flops_per_s"] = frame["flops"] / frame["seconds"]
    return drawn[["run_id", "group", "stack", "precision"]].merge(frame, on="run_id", sort=False)


def caption(runs: Runs) -> str:
    machine, drawn = _machine(runs), _drawn(runs)
    left_out = (
        "" if len(drawn) <= MAX_RUNS else f" Drawn are {MAX_RUNS} of {len(drawn)} workloads; the table holds them all."
    )
    why = "the machine that a run named" if machine.name in _named(runs) else "no run names a machine"
    return (
        f"Workloads (diamonds with letters) and their classes of operators (dots) under the roofline of the {machine.name} "
        f"({why}). Across: FLOPs for each byte that operators move; up: FLOPs over the estimated time. Nothing passes the "
        "slanted roof, its memory, or the level one, its arithmetic units; a point below them is a mixture of operators under "
        "either. Error of the times: "
        f"{error_words(machine)}." + left_out
    )


def alt_text(runs: Runs) -> str:
    frame = data(runs)
    whole = frame[frame["segment"] == WHOLE]
    parts = [
        f"{row.group} at {row.flops_per_byte:.0f} FLOP per byte, {row.flops_per_s:.2g} FLOP/s"
        for row in whole.itertuples()
    ]
    return f"Roofline of {_machine(runs).name}. " + "; ".join(parts) + "."


def draw(runs: Runs) -> Figure | None:
    frame = data(runs)
    if frame.empty:
        return None
    machine, names = _machine(runs), list(dict.fromkeys(frame["group"]))
    figure = new_figure(2.35 + 0.12 * ((len(names) + 1) // 2), COLUMN_INCHES)
    axes = figure.subplots()
    formats = _formats(runs, frame)
    roofs = {name: peak for name in formats if (peak := machine.peak_flops_per_s.get(name or ""))}
    _set_limits(axes, frame, machine, roofs)
    _draw_roofs(axes, machine, roofs)
    _draw_points(axes, frame, names)
    axes.set_title(machine.name)
    axes.set_xlabel("arithmetic intensity (FLOP / byte moved)")
    axes.set_ylabel("TFLOP/s")
    _add_legends(figure, axes, frame, names)
    return figure


def _drawn(runs: Runs) -> pd.DataFrame:
    """The first finished run of each group that can be estimated."""
    found, ordered = estimates(runs), in_order(runs)
    if found.empty:
        return pd.DataFrame()
    usable = ordered[ordered["run_id"].isin(found["run_id"]) & ordered["is_complete"]]
    return usable.drop_duplicates("group")


def _formats(runs: Runs, frame: pd.DataFrame) -> list[str | None]:
    """What the drawn runs' matrix products and convolutions are computed in."""
    settings = {record.run_id: Tf32.of(record.config) for record in runs.records}
    known = frame.dropna(subset="precision").drop_duplicates("run_id")
    return list(
        dict.fromkeys(
            number_format(precision, allow_tf32=allowed)
            for run_id, precision in zip(known["run_id"], known["precision"], strict=True)
            for allowed in (settings[run_id].matmul, settings[run_id].cudnn)
        )
    )


def _machine(runs: Runs) -> Machine:
    """The first machine that a drawn run named, or else the default one."""
    drawn = list(_drawn(runs)["run_id"].head(MAX_RUNS))
    records = sorted(runs.records, key=lambda record: (record.run_id not in drawn, own_machine(record) is None))
    return chosen_machine(records[0])


def _named(runs: Runs) -> set[str]:
    return set(runs.runs["machine"].dropna())


def _set_limits(axes: Axes, frame: pd.DataFrame, machine: Machine, roofs: dict[str | None, float]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    ridges = [peak / machine.bandwidth_bytes_per_s for peak in roofs.values() if machine.bandwidth_bytes_per_s]
    across = [*frame["flops_per_byte"], *ridges]
    up = [*frame["flops_per_s"], *roofs.values()]
    axes.set_xlim(min(min(across) / 2, max(across) / 300), max(max(across) * 2, min(across) * 300))
    axes.set_ylim(min(min(up) / 2, max(up) / 100), max(up) * 2.2)
    axes.yaxis.set_major_formatter(_tera)
    axes.xaxis.set_major_formatter(_one_digit)
    axes.minorticks_off()
    axes.grid()


def _draw_roofs(axes: Axes, machine: Machine, roofs: dict[str | None, float]) -> None:
    bandwidth, (left, right) = machine.bandwidth_bytes_per_s, axes.get_xlim()
    if not bandwidth or not roofs:
        return
    for index, (name, peak) in enumerate(sorted(roofs.items(), key=lambda roof: -roof[1])):
        ridge = peak / bandwidth
        axes.plot([ridge, right], [peak, peak], color=INK, linewidth=1.1, solid_capstyle="butt", zorder=2)
        axes.annotate(f"{rounded(peak / 1e12)} TFLOP/s {name}", (right, peak), (-2, 4), textcoords="offset points",
                      ha="right", fontsize=6)  # fmt: skip
        axes.plot(
            [ridge, ridge], [axes.get_ylim()[0], peak], color=FAINT, linewidth=0.7, linestyle=(0, (3, 2)), zorder=1
        )
        foot = (ridge, axes.get_ylim()[0])
        axes.annotate(f"ridge at {rounded(ridge)}", foot, (-2, _RIDGE_POINTS + 8 * index), fontsize=6, ha="right",
                      textcoords="offset points")  # fmt: skip
    top = max(roofs.values()) / bandwidth
    axes.plot([left, top], [left * bandwidth, top * bandwidth], color=INK, linewidth=1.1, zorder=2)
    _along(axes, bandwidth, np.sqrt(max(left, axes.get_ylim()[0] / bandwidth) * top))


def _along(axes: Axes, bandwidth: float, where: float) -> None:
    """The bandwidth, written along its roof."""
    (left, bottom), (right, top) = (_in_points(axes, x, x * bandwidth) for x in (where, 10 * where))
    axes.annotate(f"{rounded(bandwidth / 1e12)} TB/s", (where, where * bandwidth), (-4, 3), fontsize=6, ha="center",
                  textcoords="offset points", rotation=np.degrees(np.arctan2(top - bottom, right - left)),
                  rotation_mode="anchor")  # fmt: skip


def _in_points(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """Where a value will lie, in points; nearly, since the figure is not laid out yet."""
    spans = ((x, axes.get_xlim()), (y, axes.get_ylim()))
    across, up = (np.log(value / low) / np.log(high / low) for value, (low, high) in spans)
    return across * _AXES_POINTS[0], up * _AXES_POINTS[1]


def _draw_points(axes: Axes, frame: pd.DataFrame, names: list[str]) -> None:
    for segment, colour in CLASS_COLOURS.items():
        rows = frame[frame["segment"] == segment]
        axes.plot(rows["flops_per_byte"], rows["flops_per_s"], "o", color=colour, markersize=3.6, markeredgecolor="white",
                  markeredgewidth=0.4, linestyle="none", zorder=3)  # fmt: skip
    whole = frame[frame["segment"] == WHOLE].sort_values("flops_per_byte")
    points = list(zip(whole["flops_per_byte"], whole["flops_per_s"], strict=True))
    letters = letters_at([_in_points(axes, *point) for point in points])
    for group, point, letter in zip(whole["group"], points, letters, strict=True):
        axes.plot(*point, "D", color=INK, markersize=3.4, markeredgecolor="white", markeredgewidth=0.4, zorder=4)
        axes.annotate(ascii_lowercase[names.index(group)], point, letter, textcoords="offset points", fontsize=6,
                      ha="center", va="center_baseline", zorder=5, bbox=_GROUND,
                      arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": FAINT, "shrinkA": 0, "shrinkB": 1})  # fmt: skip


def _add_legends(figure: Figure, axes: Axes, frame: pd.DataFrame, names: list[str]) -> None:
    from matplotlib.lines import Line2D

    used = [name for name in CLASS_COLOURS if (frame["segment"] == name).any()]
    dots = [Line2D([], [], color=CLASS_COLOURS[name], marker="o", markersize=3.6, linestyle="none") for name in used]
    axes.legend(dots, [readable(name) for name in used], loc="lower right", fontsize=5.5, handletextpad=0.1,
                borderaxespad=0.2, labelspacing=0.3, frameon=True, framealpha=1, edgecolor="none")  # fmt: skip
    named = [f"{ascii_lowercase[index]}  {readable(name)}" for index, name in enumerate(names)]
    figure.legend([Line2D([], [], linestyle="none")] * len(named), named, loc="outside lower left", ncols=2, fontsize=5.8,
                  handlelength=0, handletextpad=0, columnspacing=1.5, labelspacing=0.3)  # fmt: skip


def _tera(value: float, _: object) -> str:
    return rounded(value / 1e12, 1)


def _one_digit(value: float, _: object) -> str:
    return rounded(value, 1)
