"""How alike what a layer gives is from step to step: a heat map for each block of the denoiser (Zhan et al. 2024, Fig. 5)."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAssignmentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reports.similarity import block_of, similarity_maps
from reports.style import new_figure, readable
from suite.units import EN_DASH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from reports.runs import Runs

SECTION, ORDER = "optimizations", 50
TITLE = "Similarity between steps"

MAX_LAYERS = 9
"""Panels beside one another: a U-Net of four levels has nine blocks."""
MAX_ROWS = 5
_MAPS_INCHES = 5.7
"""Width of all maps of a row together."""
LEVEL = 0.97
"""Similarity above which the paper calls steps alike (appendix B)."""
COLOURS = "cividis"
"""Perceptually uniform, for any colour vision, and its lightness rises with the value: it reads in grey."""


def data(runs: Runs) -> pd.DataFrame:
    """What is drawn, a row for each pair of steps of a layer."""
    drawn = [_pairs(row) for row in _shown(runs).to_dict("records")]
    return pd.concat(drawn, ignore_index=True) if drawn else pd.DataFrame()


def caption(runs: Runs) -> str:
    shown = _shown(runs)
    known = similarity_maps(runs)
    drawn, all_runs = shown["run_id"].nunique(), known["run_id"].nunique()
    return (
        "Cosine similarity of what a layer gives in two steps of one generation, over all pairs of steps: of each block the "
        f"layer that runs last, in the order in which they run (at most {MAX_LAYERS}, evenly spaced). All maps have one colour "
        f"scale, whose lower end, {_floor(shown):g}, lies just below the lowest value drawn; under each map its own lowest "
        f"value, and where it passes {LEVEL:g} a line. Both axes: steps. Dots: the steps that run in full by Algorithm 1 of "
        "Zhan et al. 2024 with the largest threshold that leaves no more than half of them."
        + _weights_words(shown)
        + f" Drawn are {drawn} of {all_runs} runs." * (drawn < all_runs)
    )


def alt_text(runs: Runs) -> str:
    told = [
        f"{row['group']}, {row['layer']}: from {row['lowest']:.3f}, neighbours {row['adjacent']:.3f}"
        for row in _shown(runs).to_dict("records")
    ]
    return "Heat maps of similarity between steps by layer. " + "; ".join(told[:40]) + "."


def draw(runs: Runs) -> Figure | None:
    shown = _shown(runs)
    if shown.empty:
        return None
    runs_drawn = [rows for _, rows in shown.groupby("run_id", sort=False)]
    columns = max(6, *(len(rows) for rows in runs_drawn))
    figure = new_figure(len(runs_drawn) * (_MAPS_INCHES / columns + 0.6))
    panels = figure.subplots(len(runs_drawn), columns, squeeze=False)
    image: Any = None
    for line, rows in zip(panels, runs_drawn, strict=True):
        for axes, row in zip(line, rows.to_dict("records"), strict=False):
            image = axes.imshow(row["map"], vmin=_floor(shown), vmax=1, cmap=COLOURS, interpolation="nearest")
            _finish(axes, row, is_first=axes is line[0])
        for axes in line[len(rows) :]:
            axes.set_visible(False)
    bar = figure.colorbar(image, ax=panels, fraction=0.02, pad=0.01, aspect=30)
    bar.outline.set_visible(False)
    bar.set_label("cosine similarity")
    return figure


def _finish(axes: Any, row: dict[Any, Any], *, is_first: bool) -> None:
    last = row["num_steps"] - 1
    key_steps = [int(step) for step in str(row["key_steps"]).split(", ")] if isinstance(row["key_steps"], str) else []
    if row["lowest"] < LEVEL < row["map"].max():
        axes.contour(row["map"], levels=[LEVEL], colors="black", linewidths=0.4)
    axes.plot(key_steps, key_steps, "o", color="white", markersize=1.5, markeredgecolor="black", markeredgewidth=0.25)
    block, number, layer = (*row["layer"].split(" ", 2), "", "")[:3]  # above them a line for the run's name
    axes.set_title(f" \n{block} {number}\n{layer}", fontsize=5.5, fontweight="normal", loc="center", pad=2)
    axes.set_xticks([0, last])
    axes.set_yticks([0, last], ["0", str(last)] if is_first else ["", ""])
    axes.tick_params(labelsize=5.5, length=1.5, pad=1)
    lowest = f"{row['lowest']:.2f}" if row["lowest"] < 0.99 else f"{row['lowest']:.4f}"
    axes.set_xlabel(f"{lowest}{EN_DASH}1", fontsize=5.5, labelpad=0)
    axes.spines[:].set_visible(False)
    if is_first:
        axes.set_ylabel("step", fontsize=6, labelpad=-3)
        words = f"{readable(row['group'])}, {row['weights'] or 'unknown'} weights"
        axes.annotate(words, (0, 1), (0, 18), xycoords="axes fraction", textcoords="offset points", fontsize=6.5,
                      fontweight="bold", annotation_clip=False).set_in_layout(False)  # fmt: skip


def _shown(runs: Runs) -> pd.DataFrame:
    """The maps that are drawn: of each group its baseline, of each run the last layer of each block."""
    maps = similarity_maps(runs)
    if maps.empty:
        return maps
    maps = maps[maps["num_steps"] > 1]
    first = maps.drop_duplicates("group")["run_id"].tolist()[:MAX_ROWS]
    kept = [_chosen(maps[maps["run_id"] == run_id]) for run_id in first]
    return pd.concat([*kept, maps.iloc[:0]])


def _chosen(rows: pd.DataFrame) -> pd.DataFrame:
    last = rows[~rows["module"].map(block_of).duplicated(keep="last")]
    return last.iloc[np.linspace(0, len(last) - 1, min(len(last), MAX_LAYERS)).round().astype(int)]


def _floor(shown: pd.DataFrame) -> float:
    """Lower end of the colour scale: the lowest value drawn, rounded down to a digit of its distance from 1."""
    distance = 1 - float(shown["lowest"].min())
    if distance <= 0:
        return 0.0
    digit = 10.0 ** math.floor(math.log10(distance))
    return round(1 - math.ceil(round(distance / digit, 9)) * digit, 12)


def _weights_words(shown: pd.DataFrame) -> str:
    if "random" not in set(shown["weights"]):
        return ""
    return " Weights are random where it says so: such a map is of the architecture and its sampler, not of a trained model."


def _pairs(row: dict[Any, Any]) -> pd.DataFrame:
    i, j = np.indices(row["map"].shape)
    facts = {key: row[key] for key in ("run_id", "group", "workload", "stack", "weights", "module", "layer")}
    return pd.DataFrame({**facts, "step_i": i.ravel(), "step_j": j.ravel(), "similarity": row["map"].ravel()})
