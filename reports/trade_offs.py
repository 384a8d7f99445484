"""What each stack costs and buys in three currencies: memory, time, and how far its output is from the workload's own."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAssignmentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportOperatorIssue=false, reportReturnType=false
from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.comparison import in_order, times_over
from reports.estimates import estimates
from reports.facts import OUT_OF_THE_BOX, is_exact
from reports.memory import stage_peaks
from suite.estimates import chosen_machine

if TYPE_CHECKING:
    from reports.runs import Runs

MEASURES = ("max_relative_error", "relative_l2_error", "latent_relative_error", "psnr_db", "ssim", "lpips")
"""Metrics of the fidelity probe."""

DOUBTFUL = 1e-2
"""A largest error, relative to the largest value, that rounding alone does not explain in any precision used here."""


@lru_cache(maxsize=4)
def trade_offs(runs: Runs) -> pd.DataFrame:
    """A row for each finished run beside the workload out of the box, which comes first. Treat the frame as read-only.

    ``relative_memory`` is the peak of the whole generation over that of the group's run out of the box, ``relative_beside`` the
    same of what lives beside the weights. ``relative_time`` (with
    its interval) is the median of paired ratios within the run, or a ratio of estimates; above 1 the stack is slower.
    """
    peaks = stage_peaks(runs)
    if peaks.empty:
        return peaks
    frame = _beside_own(_whole_peaks(runs, peaks))
    return frame.merge(_times(runs), on="run_id", how="left").merge(_fidelity(runs), on="run_id", how="left")


def _whole_peaks(runs: Runs, peaks: pd.DataFrame) -> pd.DataFrame:
    """Each run with the peak of its whole generation, in order."""
    exactness = {record.run_id: is_exact(record) for record in runs.records}
    whole = peaks.loc[peaks["stage"] == "generate", ["run_id", "counter", "peak_bytes", "weights_bytes"]]
    frame = in_order(runs)[["run_id", "group", "workload", "stack"]].merge(whole, on="run_id")
    return frame.assign(is_exact=frame["run_id"].map(exactness))


def _beside_own(frame: pd.DataFrame) -> pd.DataFrame:
    """The runs with their ratios of memory; none of groups without the workload out of the box, or with nothing else."""
    frame = frame.assign(beside=frame["peak_bytes"] - frame["weights_bytes"])
    is_own = frame["stack"] == OUT_OF_THE_BOX
    own = frame.loc[is_own, ["group", "counter", "peak_bytes", "beside"]].drop_duplicates("group").set_index("group")
    frame = frame.join(own, on="group", rsuffix="_of_own")
    frame = frame[frame["counter"] == frame["counter_of_own"]]
    frame = frame[frame.groupby("group")["run_id"].transform("size") > 1]
    place = pd.DataFrame(
        {"group": pd.factorize(frame["group"])[0], "stack": frame["stack"] != OUT_OF_THE_BOX}, frame.index
    )
    frame = frame.loc[place.sort_values(["group", "stack"], kind="stable").index]
    frame = frame.assign(
        relative_memory=frame["peak_bytes"] / frame["peak_bytes_of_own"],
        relative_beside=frame["beside"] / frame["beside_of_own"],
    )
    return frame.drop(columns=["beside", "counter_of_own", "peak_bytes_of_own", "beside_of_own"]).reset_index(drop=True)


def _times(runs: Runs) -> pd.DataFrame:
    """Time relative to the workload out of the box: its median and interval, the verdict, and how it is known."""
    found = [
        {"run_id": row["run_id"], "relative_time": row["box_time"], "time_low": row["box_time_low"],
         "time_high": row["box_time_high"], "verdict": row["box_verdict"], "time_is": "measured"}
        for row in times_over(runs).to_dict("records")
        if pd.notna(row["box_time"])
    ]  # fmt: skip
    columns = ["run_id", "relative_time", "time_low", "time_high", "verdict", "time_is"]
    return pd.DataFrame([*found, *_estimated(runs)], columns=columns)


def _estimated(runs: Runs) -> list[dict[str, Any]]:
    """Of each simulated run on its own machine."""
    frame = estimates(runs)
    if frame.empty:
        return []
    mine = {record.run_id: chosen_machine(record).name for record in runs.records}
    frame = frame[frame["machine"] == frame["run_id"].map(mine)]
    seconds = frame.groupby("run_id")["seconds"].sum(min_count=1)
    facts = frame.drop_duplicates("run_id").set_index("run_id")
    own = {facts.loc[run_id, "group"]: seconds[run_id] for run_id in facts.index[facts["stack"] == OUT_OF_THE_BOX]}
    return [
        {"run_id": run_id, "relative_time": seconds[run_id] / own[row["group"]], "time_low": None, "time_high": None,
         "verdict": None, "time_is": f"estimated, {row['machine']}"}
        for run_id, row in facts.iterrows()
        if row["group"] in own and row["stack"] != OUT_OF_THE_BOX
    ]  # fmt: skip


def _fidelity(runs: Runs) -> pd.DataFrame:
    """What the fidelity probe found of each run, a column a metric."""
    samples = runs.samples
    found = samples[samples["metric"].isin(MEASURES) & (samples["arm"] == "stack")]
    keys = [found["run_id"].astype(str), found["metric"].astype(str)]
    table = found.groupby(keys)["value"].first().unstack("metric")
    return table.reindex(columns=list(MEASURES)).rename_axis("run_id").reset_index()


def fidelity_words(row: dict[Any, Any]) -> str:
    """What is known of an output, in a word or two: by measure where there is one, else by construction."""
    error = row["max_relative_error"]
    if row["stack"] == OUT_OF_THE_BOX:
        return "itself"
    if pd.isna(error):
        return "exact by construction" if row["is_exact"] else "may change"
    if error == 0:
        return "identical"
    if row["is_exact"]:
        return f"{'exact' if error <= DOUBTFUL else 'not exact'} ({error:.0e})"
    return "changed"
