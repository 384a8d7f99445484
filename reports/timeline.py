"""Lines of memory over a generation without times: laid out by stage, and within a stage by operator calls."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

import pandas as pd


def laid_out(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of simulated time lines with ``position``: number of the stage and how far through it, so 1.5 is half of the second.

    All stages of a group are as wide, so that the same moment of two runs is at the same place. Steps repeat, so of each stage
    only its first step stays; what lies in no stage goes.

    Args:
        rows: run_id, group, stage, step, call; in call order.
    """
    first = rows.groupby(["run_id", "stage"], sort=False)["step"].transform("min")
    kept = rows[(rows["step"].isna() | (rows["step"] == first)) & rows["stage"].notna() & (rows["stage"] != "generate")]
    if kept.empty:
        return kept.assign(position=pd.Series(dtype=float))
    calls = kept.groupby(["run_id", "stage"], sort=False)["call"]
    begin, end = calls.transform("min"), calls.transform("max")
    number = kept.groupby("group", sort=False)["stage"].transform(lambda stages: pd.factorize(stages)[0])
    return kept.assign(position=number + (kept["call"] - begin) / (end - begin + 1))
