"""What flash attention buys over its baselines, end to end and of attention alone (Golden et al. 2024, Table II)."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.breakdown import timed_totals
from reports.comparison import in_order, latencies
from reports.table import factor, quantity, share, text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "optimizations", 15
TITLE = "Flash attention over its baselines"
CAPTION = (
    "Speed-ups, as they are published: time with a baseline over time with flash attention, of a whole generation, of "
    "attention's core (QK\u1d40, softmax, AV), and of attention with its projections (q, k, v, out), which no attention kernel "
    "changes. Operator times of two runs are compared; where both were measured trial by trial in one run, the paired speed-up "
    "with its 95 % interval stands beside them. Attention's shares are of the baseline's time. Baselines are PyTorch's math "
    "kernel, which computes half-precision attention in float32, and attention written out in its own precision (eager)."
)
COLUMNS = (
    text("Workload", "group"),
    text("Over", "over"),
    text("Time is", "clock"),
    quantity("Baseline", "baseline_s", "s"),
    quantity("Flash", "flash_s", "s", unit_from="baseline_s"),
    factor("Speed-up, end to end", "speedup"),
    factor("Speed-up, end to end, paired", "paired_speedup", ("paired_low", "paired_high")),
    factor("Speed-up of attention's core", "core_speedup"),
    factor("Speed-up of attention with projections", "attention_speedup"),
    share("Share of core", "core_share"),
    share("Share with projections", "attention_share"),
)
BASELINES = {"baseline_attention": "math", "eager_attention": "eager"}
FLASH = "flash_attention"
CORE, PROJECTION = "attention core", "attention projection"


def build(runs: Runs) -> pd.DataFrame:
    """A row for each baseline of a group that was run with it and with flash attention and has a clock; seconds and ratios."""
    totals = timed_totals(runs)
    if totals.empty:
        return pd.DataFrame()
    seconds = totals.groupby(["run_id", "segment"], observed=True)["seconds"].sum().unstack("segment")
    seconds = seconds.reindex(columns=seconds.columns.union([CORE, PROJECTION])).fillna(0.0)
    clocks = totals.drop_duplicates("run_id").set_index("run_id")["clock"]
    spent = seconds.to_dict("index")
    rows = []
    timed = in_order(runs)
    timed = timed[timed["run_id"].isin(set(seconds.index)) & timed["stack"].isin([*BASELINES, FLASH])]
    for group, found in timed.groupby("group", sort=False):
        ids = dict(zip(found["stack"], found["run_id"], strict=True))
        flash = ids.get(FLASH)
        for stack, over in BASELINES.items():
            slow = ids.get(stack)
            if slow is None or flash is None or clocks[slow] != clocks[flash]:
                continue
            row = {"group": group, "over": over, "stack": stack, "run_id": flash, "baseline_run_id": slow}
            rows.append(row | {"clock": clocks[flash]} | _compared(spent[slow], spent[flash]))
    frame = pd.DataFrame(rows)
    return frame if frame.empty else frame.merge(_paired(runs), on=["run_id", "stack"], how="left")


def _compared(slow: dict[Any, float], flash: dict[Any, float]) -> dict[str, float | None]:
    """Ratios of two runs' seconds by segment; None where the one with flash attention has none."""
    (slow_s, slow_attention_s), (flash_s, flash_attention_s) = (
        (sum(seconds.values()), seconds[CORE] + seconds[PROJECTION]) for seconds in (slow, flash)
    )
    return {
        "baseline_s": slow_s,
        "flash_s": flash_s,
        "speedup": _ratio(slow_s, flash_s),
        "core_speedup": _ratio(slow[CORE], flash[CORE]),
        "attention_speedup": _ratio(slow_attention_s, flash_attention_s),
        "core_share": _ratio(slow[CORE], slow_s),
        "attention_share": _ratio(slow_attention_s, slow_s),
    }


def _ratio(above: float, below: float) -> float | None:
    return above / below if below > 0 else None


def _paired(runs: Runs) -> pd.DataFrame:
    """Speed-up over the reference, measured trial by trial, of runs whose reference is a baseline."""
    columns = {
        "reference": "stack",
        "ref_speedup": "paired_speedup",
        "ref_low": "paired_low",
        "ref_high": "paired_high",
    }
    frame = latencies(runs)
    if frame.empty:
        return pd.DataFrame(columns=["run_id", *columns.values()])
    return frame.loc[frame["reference"].isin(BASELINES), ["run_id", *columns]].rename(columns=columns)
