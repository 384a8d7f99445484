"""What may be compared with what, and by how much: the baseline of each group, paired speed-ups, time by stage.

Frames are kept between calls: treat them as read-only.
"""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportAttributeAccessIssue=false, reportReturnType=false
from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING

import pandas as pd

from reports.facts import OUT_OF_THE_BOX
from suite.stage import DENOISER_FORWARD, STAGES
from suite.statistics import median_interval, paired_ratio, verdict

if TYPE_CHECKING:
    from reports.runs import Runs

MIN_EFFECT = 0.02
"""Speed-ups within 2 % count as the same, however surely they are known."""

BETWEEN_STAGES = "between stages"
"""What of a generation lies in no stage."""

_KEYS = ["run_id", "group", "workload", "stack"]


@lru_cache(maxsize=4)
def in_order(runs: Runs) -> pd.DataFrame:
    """The runs, group by group in the order of their names.

    In each group the baseline comes first, then the library's default, then the rest by name. The baseline is the stack that
    the user named as reference, or else the library's default, or else the first finished run. Column ``is_baseline`` marks it.
    """
    frame = runs.runs.copy()
    frame["is_baseline"] = False
    for _, group in frame.groupby("group", sort=False):
        finished = group[group["outcome"] == "ok"]
        wanted = [*finished["reference"].dropna().unique(), OUT_OF_THE_BOX]
        found = [name for name in wanted if (finished["stack"] == name).any()] or list(finished["stack"])
        if found:
            frame.loc[finished.index[finished["stack"] == found[0]][:1], "is_baseline"] = True
    rank = frame["is_baseline"].map({True: 0, False: 2}) - (frame["stack"] == OUT_OF_THE_BOX)
    names = sorted(frame["group"].unique(), key=_natural)
    position = frame["group"].map({name: index for index, name in enumerate(names)})
    keys = pd.DataFrame({"group": position, "rank": rank.clip(lower=0), "stack": frame["stack"]})
    return frame.loc[keys.sort_values(["group", "rank", "stack"]).index].reset_index(drop=True)


def quiet_latencies(runs: Runs, stage: str = "generate") -> pd.DataFrame:
    """Unwarmed samples of ``latency_s`` of one stage: run_id, arm, trial, value in seconds."""
    samples = runs.samples
    chosen = samples[(samples["metric"] == "latency_s") & (samples["stage"] == stage) & ~samples["warmup"].astype(bool)]
    return chosen[["run_id", "arm", "trial", "value"]]


def identities(runs: Runs) -> pd.DataFrame:
    """The columns of `in_order` that tell which run a row is about."""
    return in_order(runs)[[*_KEYS, "is_baseline"]]


@lru_cache(maxsize=4)
def latencies(runs: Runs) -> pd.DataFrame:
    """Latency of each finished run and its speed-ups, seconds; rows as in `in_order`.

    ``box_*`` compares with the library's default and ``ref_*`` with the stack named as reference, both measured in
    the same run and paired by trial; a run is not compared with itself.
    """
    arms = {
        run_id: rows.pivot_table(index="trial", columns="arm", values="value", aggfunc="first", observed=True)
        for run_id, rows in quiet_latencies(runs).groupby("run_id", observed=True)
    }
    rows = []
    for run in in_order(runs).to_dict("records"):
        trials = arms.get(run["run_id"])
        if trials is None or "stack" not in trials or not trials["stack"].notna().any():
            continue
        own = trials["stack"].dropna()
        interval = median_interval(own.to_numpy())
        row = {key: run[key] for key in _KEYS} | {"is_baseline": run["is_baseline"], "trials": len(own)}
        row |= {"median_s": interval.median, "low_s": interval.low, "high_s": interval.high}
        row |= {"min_s": own.min(), "max_s": own.max()}
        row |= _speedup(trials, "out_of_the_box", "box", is_itself=run["stack"] == OUT_OF_THE_BOX)
        row |= _speedup(trials, "reference", "ref", is_itself=run["stack"] == run["reference"])
        row["reference"] = run["reference"]
        rows.append(row)
    return pd.DataFrame(rows)


@lru_cache(maxsize=4)
def stage_times(runs: Runs) -> pd.DataFrame:
    """Seconds of each stage in a whole generation: the median over trials of the sum over steps, and its share.

    The stages and the time between them add up to the generation in each trial; medians need not add up exactly.
    ``denoiser_forward`` lies inside the steps and is not among the addends.
    """
    samples = runs.samples
    quiet = samples[(samples["metric"] == "latency_s") & (samples["arm"] == "stack") & ~samples["warmup"].astype(bool)]
    spans = quiet.groupby(["run_id", "trial", "stage"], observed=True)["value"].sum().unstack("stage")
    counts = quiet.groupby(["run_id", "trial", "stage"], observed=True).size().unstack("stage")
    rows = []
    for run in in_order(runs).to_dict("records"):
        if run["run_id"] not in spans.index.get_level_values("run_id"):
            continue
        table = spans.loc[run["run_id"]].dropna(axis="columns", how="all")
        if "generate" not in table:
            continue
        addends = [stage for stage in STAGES if stage in table and stage != "generate"]
        table = table.assign(**{BETWEEN_STAGES: table["generate"] - table[addends].sum(axis="columns")})
        inside = [DENOISER_FORWARD] if DENOISER_FORWARD in table else []
        for stage in [*addends, BETWEEN_STAGES, *inside]:
            interval = median_interval(table[stage].dropna().to_numpy())
            spans_a_run = counts.loc[run["run_id"]].get(stage)
            rows.append(
                {key: run[key] for key in _KEYS}
                | {"stage": stage, "spans": None if spans_a_run is None else float(spans_a_run.median())}
                | {"median_s": interval.median, "low_s": interval.low, "high_s": interval.high}
                | {"share": float((table[stage] / table["generate"]).median()), "is_addend": stage not in inside}
            )
    return pd.DataFrame(rows)


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Sort key by which 9 comes before 12."""
    return [(word.isdecimal(), int(word) if word.isdecimal() else 0, word) for word in re.split(r"(\d+)", name)]


def _speedup(trials: pd.DataFrame, arm: str, prefix: str, *, is_itself: bool) -> dict[str, object]:
    names = [f"{prefix}_{key}" for key in ("speedup", "low", "high", "pairs", "verdict")]
    if is_itself or arm not in trials:
        return dict.fromkeys(names, None)
    pairs = trials[[arm, "stack"]].dropna()
    if pairs.empty or (pairs <= 0).any(axis=None):
        return dict.fromkeys(names, None)
    interval = paired_ratio(pairs[arm].to_numpy(), pairs["stack"].to_numpy())
    low, high = (None if math.isnan(end) else end for end in (interval.low, interval.high))
    return dict(zip(names, (interval.median, low, high, len(pairs), verdict(interval, MIN_EFFECT)), strict=True))
