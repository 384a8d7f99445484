"""What the numbers say, in plain sentences: each made from the data, with its numbers and intervals, never from a
template alone.
"""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAssignmentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.breakdown import by_kind, by_segment
from reports.claims.assess import contradictions
from reports.comparison import NOT_QUIET, in_order, latencies, times_over
from reports.facts import ATTENTION_OF_OLD, OUT_OF_THE_BOX, is_attention_kernel
from reports.memory import stage_peaks
from reports.ratios import factor_words, pace
from reports.style import readable
from suite.units import percent, quantity, unit_for, with_interval

if TYPE_CHECKING:
    from reports.runs import Runs

QUESTIONS = ("time", "memory", "optimizations")
"""Sections of the page that open with answers."""

_DECIDED = ("FASTER", "SLOWER", "SAME", "UNCLEAR")


def answers(runs: Runs) -> dict[str, list[str]]:
    """Sentences by question, the most telling one first; a question without data has none."""
    return {
        "time": list(_time(runs)),
        "memory": list(_memory(runs)),
        "optimizations": list(_optimizations(runs)),
        "claims": contradictions(runs),
    }


def headline(found: dict[str, list[str]], limit: int = 3) -> list[str]:
    """The first sentence of each question; further ones of a question where another has none."""
    first = [sentences[0] for sentences in found.values() if sentences]
    more = [sentence for sentences in found.values() for sentence in sentences[1:]]
    return [*first, *more][:limit]


def _time(runs: Runs) -> Iterator[str]:
    """Of each group's run out of the box: how long it takes, its two largest classes, and the largest kind of attention.

    A projection counts as linear here; where attention is named, its share with projections is named as well.
    """
    frame = by_segment(runs)
    if frame.empty:
        return
    classes = frame.assign(
        name=frame["segment"].replace({"attention core": "attention", "attention projection": "linear"})
    )
    times = {row["run_id"]: row for row in latencies(runs).to_dict("records")}
    kinds = by_kind(runs)
    cores = dict(list(kinds[kinds["part"] == "core"].groupby("run_id"))) if len(kinds) else {}
    sentences = []
    for group, members in classes.groupby("group", sort=False):
        rows = _what_users_run(members)
        shares = rows.groupby("name")["share"].sum().sort_values(ascending=False)
        wide = rows.loc[rows["segment"].str.startswith("attention"), "share"].sum()
        outside = shares.pop("other") if "other" in shares else 0.0
        names = [f"{readable(str(name))} {percent(share)}" for name, share in shares.head(2).items()]
        names = [f"{name} ({percent(wide)} with its projections)" if "attention" in name else name for name in names]
        run_id, clock = rows["run_id"].iloc[0], rows["clock"].iloc[0]
        how_long = _how_long(times.get(run_id))
        text = f"{_who(group, rows['stack'].iloc[0])}{how_long}{';' if how_long else ':'}"
        names += [f"outside any operator class {percent(outside)}"] if outside >= 0.1 else []
        text += f" of its {clock} {', '.join(names)}" + _largest_kind(cores.get(run_id))
        sentences.append((float(shares.max()), text + "."))
    yield from (text for _, text in sorted(sentences, key=lambda pair: -pair[0]))


def _who(group: object, stack: str) -> str:
    """A run as a sentence names it."""
    return f"{readable(str(group))} {'' if stack == OUT_OF_THE_BOX else 'with '}{readable(stack)}"


def _how_long(row: dict[Any, Any] | None) -> str:
    if row is None:
        return ""
    values = [float(row[column]) for column in ("median_s", "low_s", "high_s")]
    unit = unit_for(values[:1], "s")
    noisy = f" {NOT_QUIET}" if row["doubt"] else ""
    return f" takes {with_interval(*(value / unit.size for value in values))} {unit.symbol}{noisy}"


def _largest_kind(core: pd.DataFrame | None) -> str:
    if core is None or len(core) < 2 or core["seconds"].sum() == 0:
        return ""
    largest = core.loc[core["seconds"].idxmax()]
    return f"; {percent(largest['seconds'] / core['seconds'].sum())} of attention's core is {largest['kind']}"


def _memory(runs: Runs) -> Iterator[str]:
    """What did not fit, then of each group: where its run out of the box peaks, how much of that is weights, and which stack
    lowers it the most."""
    yield from _too_large(runs)
    frame = stage_peaks(runs)
    if frame.empty:
        return
    stages = frame[frame["stage"] != "generate"]
    peaks = (stages if len(stages) else frame).sort_values("peak_bytes", ascending=False, kind="stable")
    peaks = peaks.drop_duplicates("run_id")
    sentences = []
    for group, rows in peaks.groupby("group", sort=False):
        at = _what_users_run(rows).iloc[0]
        text = f"{_who(group, at['stack'])} peaks at {quantity(at['peak_bytes'], 'bytes')}"
        text += f" of {at['counter']} in {readable(at['stage'])}"
        if pd.notna(at["weights_bytes"]):
            text += f", {percent(at['weights_bytes'] / at['peak_bytes'])} of it weights"
        saved, ending = _largest_saving(rows, at)
        sentences.append((saved, text + ending + "."))
    yield from (text for _, text in sorted(sentences, key=lambda pair: -pair[0]))


def _too_large(runs: Runs) -> Iterator[str]:
    """Of each group the run out of the box that ran out of memory, or else its first that did, and how many others."""
    ordered = in_order(runs)
    for group, rows in ordered[ordered["outcome"] == "oom"].groupby("group", sort=False):
        told = _what_users_run(rows).iloc[0]
        others = f" So did {len(rows) - 1} more of its stacks." if len(rows) > 1 else ""
        yield f"{_who(group, told['stack'])} ran out of memory: {told['reason']}.{others}"


def _largest_saving(rows: pd.DataFrame, own: Any) -> tuple[float, str]:
    comparable = rows[(rows["counter"] == own["counter"]) & (rows["run_id"] != own["run_id"])]
    if comparable.empty:
        return 0.0, ""
    least = comparable.loc[comparable["peak_bytes"].idxmin()]
    saved = 1 - least["peak_bytes"] / own["peak_bytes"]
    if saved < 0.01:
        return 0.0, "; no other stack lowers the peak"
    return float(
        saved
    ), f"; {readable(least['stack'])} needs {percent(saved)} less ({quantity(least['peak_bytes'], 'bytes')})"


def _optimizations(runs: Runs) -> Iterator[str]:
    """What each stack buys over the workload out of the box, then comparisons that the user's reference has a part in.

    Of either the decided comparisons, the largest first, then those that make no difference, then the undecided ones.
    """
    found = [
        (_is_of_reference(row, prefix), _DECIDED.index(row[f"{prefix}_verdict"]), -abs(math.log(row[f"{prefix}_time"])),
         _comparison(row, prefix, other))
        for row in times_over(runs).to_dict("records")
        for prefix, other in (("box", OUT_OF_THE_BOX), ("ref", row["reference"]))
        if pd.notna(row[f"{prefix}_time"]) and _is_worth_telling(row["stack"], other)
    ]  # fmt: skip
    yield from (sentence for *_, sentence in sorted(found, key=lambda item: item[:3]))


def _is_worth_telling(stack: str, other: str) -> bool:
    """Nobody runs the attention of old: how much faster than it something is says something of attention kernels alone."""
    return other not in ATTENTION_OF_OLD or is_attention_kernel(stack)


def _is_of_reference(row: dict[Any, Any], prefix: str) -> bool:
    return prefix == "ref" or row["stack"] == row["reference"]


def _comparison(row: dict[Any, Any], prefix: str, other: str) -> str:
    over, pairs = [row[f"{prefix}_time{end}"] for end in ("", "_low", "_high")], int(row[f"{prefix}_pairs"])
    who, other = f"{readable(row['stack'])} on {readable(row['group'])}", readable(other)
    trials = f"{pairs} paired {'trial' if pairs == 1 else 'trials'}"
    trials += f", {NOT_QUIET}" if row["doubt"] else ""
    if row[f"{prefix}_verdict"] in ("FASTER", "SLOWER"):
        return f"{who} is {pace(*over)} than {other} ({trials})."
    middle = "makes no difference to" if row[f"{prefix}_verdict"] == "SAME" else "cannot be told from"
    return f"{who} {middle} {other}: {factor_words(*over)} its time ({trials})."


def _what_users_run(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the group's run out of the box; where it has none, of its baseline or first, the attention of old last."""
    rows = rows.assign(is_own=rows["stack"] == OUT_OF_THE_BOX, is_used=~rows["stack"].isin(ATTENTION_OF_OLD))
    for column in ("is_own", "is_used", "is_baseline"):
        rows = rows[rows[column]] if rows[column].any() else rows
    return rows[rows["run_id"] == rows["run_id"].iloc[0]]
