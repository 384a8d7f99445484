"""What may be compared with what, and by how much: the baseline of each group, paired speed-ups, time by stage.

Frames are kept between calls: treat them as read-only.
"""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportAttributeAccessIssue=false, reportReturnType=false
from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.facts import OUT_OF_THE_BOX
from suite.stage import DENOISER_FORWARD, STAGES
from suite.statistics import median_interval, paired_ratio, verdict
from suite.steadiness import pairs_carry

if TYPE_CHECKING:
    from reports.runs import Runs
    from suite.record import Record

MIN_EFFECT = 0.02
"""Speed-ups within 2 % count as the same, however surely they are known."""

BETWEEN_STAGES = "between stages"
"""What of a generation lies in no stage."""

NOT_QUIET = "on a machine that was not quiet"
"""How a sentence says that a run has a doubt."""

PREFIXES = ("box", "ref")
"""Of columns about the workload out of the box, and about the user's reference."""

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
        finished = group[group["is_complete"]]
        wanted = [*finished["reference"].dropna().unique(), OUT_OF_THE_BOX]
        found = [name for name in wanted if (finished["stack"] == name).any()] or list(finished["stack"])
        if found:
            frame.loc[finished.index[finished["stack"] == found[0]][:1], "is_baseline"] = True
    rank = frame["is_baseline"].map({True: 0, False: 2}) - (frame["stack"] == OUT_OF_THE_BOX)
    names = sorted(frame["group"].unique(), key=_natural)
    position = frame["group"].map({name: index for index, name in enumerate(names)})
    keys = pd.DataFrame({"group": position, "rank": rank.clip(lower=0), "stack": frame["stack"]})
    return frame.loc[keys.sort_values(["group", "rank", "stack"]).index].reset_index(drop=True)


def quiet_latencies(runs: Runs, stage: str = "generate", *, all_regimes: bool = False) -> pd.DataFrame:
    """Samples of ``latency_s`` of one stage, without warm-up: run_id, arm, trial, value in seconds.

    Args:
        runs: whose.
        stage: which.
        all_regimes: with the trials that their run set aside, for pairs: both trials of one round saw the same machine.
    """
    samples = runs.samples
    chosen = samples[(samples["metric"] == "latency_s") & (samples["stage"] == stage) & ~samples["warmup"].astype(bool)]
    if not all_regimes:
        chosen = chosen[~chosen["set_aside"].astype(bool)]
    return chosen[["run_id", "arm", "trial", "value"]]


def identities(runs: Runs) -> pd.DataFrame:
    """The columns of `in_order` that tell which run a row is about."""
    return in_order(runs)[[*_KEYS, "is_baseline"]]


@lru_cache(maxsize=4)
def latencies(runs: Runs) -> pd.DataFrame:
    """Latency of each finished run and its speed-ups, seconds; rows as in `in_order`.

    ``box_*`` compares with the library's default and ``ref_*`` with the stack named as reference, both measured in
    the same run and paired by trial; a run is not compared with itself. Trials that a run set aside are in pairs only; pairs
    whose ratio is not steady decide nothing. ``doubt``: why a run's times are to be doubted, if they are.
    """
    counted = _by_run(quiet_latencies(runs), "arm")
    paired = _by_run(quiet_latencies(runs, all_regimes=True), "arm")
    doubts = {record.run_id: doubt_of(record) for record in runs.records}
    rows = []
    for run in in_order(runs).to_dict("records"):
        own = _known(counted.get(run["run_id"], {}).get("stack", np.empty(0)))
        if not len(own):
            continue
        trials = paired[run["run_id"]]
        interval = median_interval(own)
        row = {key: run[key] for key in _KEYS} | {"is_baseline": run["is_baseline"], "trials": len(own)}
        row |= {"median_s": interval.median, "low_s": interval.low, "high_s": interval.high}
        row |= {"min_s": own.min(), "max_s": own.max()}
        row |= _speedup(trials, "out_of_the_box", "box", is_itself=run["stack"] == OUT_OF_THE_BOX)
        row |= _speedup(trials, "reference", "ref", is_itself=run["stack"] == run["reference"])
        row["reference"] = run["reference"]
        row["doubt"] = doubts[run["run_id"]]
        rows.append(row)
    return pd.DataFrame(rows)


def times_over(runs: Runs) -> pd.DataFrame:
    """`latencies` with times over the other arm's in place of speed-ups; below 1 the run is faster.

    Columns are ``box_time``, ``box_time_low``, ``box_time_high``, and ``ref_*`` alike.
    """
    frame = latencies(runs).copy()
    for prefix in PREFIXES if len(frame) else ():
        for name, speedup in (("time", "speedup"), ("time_low", "high"), ("time_high", "low")):
            frame[f"{prefix}_{name}"] = 1 / frame.pop(f"{prefix}_{speedup}").astype(float)
    return frame


def doubt_of(record: Record) -> str | None:
    """Why the times of a run's own stack are to be doubted, if they are."""
    return next((arm.doubt for arm in record.arms if arm.name == "stack"), None)


def machine_words(doubt: str | None) -> str | None:
    """What a table says of the machine that a run was on; nothing where it was quiet."""
    return "not quiet" if doubt else None


@lru_cache(maxsize=4)
def stage_times(runs: Runs) -> pd.DataFrame:
    """Seconds of each stage in a whole generation: the median over trials of the sum over steps, and its share.

    The stages and the time between them add up to the generation in each trial; medians need not add up exactly.
    ``denoiser_forward`` lies inside the steps and is not among the addends.
    """
    samples = runs.samples
    is_quiet = ~(samples["warmup"].astype(bool) | samples["set_aside"].astype(bool))
    quiet = samples[(samples["metric"] == "latency_s") & (samples["arm"] == "stack") & is_quiet]
    quiet = quiet.groupby(["run_id", "trial", "stage"], observed=True)["value"].agg(["sum", "size"]).reset_index()
    seconds, counts = (_by_run(quiet.rename(columns={name: "value"}), "stage") for name in ("sum", "size"))
    rows = []
    for run in in_order(runs).to_dict("records"):
        table = seconds.get(run["run_id"], {})
        table = {stage: values for stage, values in table.items() if len(_known(values))}
        if "generate" not in table:
            continue
        whole, addends = table["generate"], [stage for stage in STAGES if stage in table and stage != "generate"]
        table[BETWEEN_STAGES] = whole - sum((np.nan_to_num(table[stage]) for stage in addends), np.zeros(len(whole)))
        inside = [DENOISER_FORWARD] if DENOISER_FORWARD in table else []
        for stage in [*addends, BETWEEN_STAGES, *inside]:
            interval = median_interval(_known(table[stage]))
            spans = counts[run["run_id"]].get(stage)
            rows.append(
                {key: run[key] for key in _KEYS}
                | {"stage": stage, "spans": None if spans is None else float(np.median(_known(spans)))}
                | {"median_s": interval.median, "low_s": interval.low, "high_s": interval.high}
                | {"share": float(np.nanmedian(table[stage] / whole)), "is_addend": stage not in inside}
            )
    return pd.DataFrame(rows)


def _by_run(rows: pd.DataFrame, column: str) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Of every run the values by a column's names, each an array over its trials with NaN where a trial has none.

    One pivot for all runs: a pivot for each of hundreds takes seconds.
    """
    wide = rows.set_index(["run_id", "trial", column])["value"]
    wide = wide[~wide.index.duplicated()].unstack(column)
    if wide.empty:
        return {}
    owners = wide.index.get_level_values("run_id")
    starts = np.flatnonzero(np.concatenate([[True], owners.codes[1:] != owners.codes[:-1]]))
    table, names = wide.to_numpy(float), [str(name) for name in wide.columns]
    blocks = zip(starts, [*starts[1:], len(wide)], strict=True)
    return {
        str(owners[first]): {name: table[first:last, index] for index, name in enumerate(names)}
        for first, last in blocks
    }


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[~np.isnan(values)]


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Sort key by which 9 comes before 12."""
    return [(word.isdecimal(), int(word) if word.isdecimal() else 0, word) for word in re.split(r"(\d+)", name)]


def _speedup(trials: Mapping[str, NDArray[np.float64]], arm: str, prefix: str, *, is_itself: bool) -> dict[str, object]:
    names = [f"{prefix}_{key}" for key in ("speedup", "low", "high", "pairs", "verdict")]
    if is_itself or arm not in trials:
        return dict.fromkeys(names, None)
    both = ~np.isnan(trials[arm]) & ~np.isnan(trials["stack"])
    theirs, own = trials[arm][both], trials["stack"][both]
    if not len(own) or (theirs <= 0).any() or (own <= 0).any():
        return dict.fromkeys(names, None)
    interval = paired_ratio(theirs, own)
    low, high = (None if math.isnan(end) else end for end in (interval.low, interval.high))
    word = verdict(interval, MIN_EFFECT) if pairs_carry(theirs, own) else "UNCLEAR"
    return dict(zip(names, (interval.median, low, high, len(own), word), strict=True))
