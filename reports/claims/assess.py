"""All claims held against runs: one row for each claim, case, setting and reading."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.claims.claim import SEEN_WORDS, Claim, Number, Source, source_modules
from reports.claims.evidence import PUBLISHED_SCALE, Evidence, Reading, settings
from reports.claims.judge import judge, number_words, published_words
from suite.units import EN_DASH

if TYPE_CHECKING:
    from types import ModuleType

    from reports.runs import Runs


CONTRADICTED = "Contradicted"
NOT_BORNE_OUT = "Not borne out by an estimate (nothing was timed)"
"""How a sentence about a claim begins: an estimate that disagrees contradicts nothing."""

_SAME = ("source", "claim", "case", "reading", "basis", "hardware", "our_value", "verdict")
"""Columns that are equal in rows which say the same."""
_KEYS = ["source", "claim", "case", "reading", "basis", "verdict", "our_value"]


@lru_cache(maxsize=4)
def assessed(runs: Runs) -> pd.DataFrame:
    """Claims that these runs can check at the published dimensions; the frame is kept, treat it as read-only."""
    places = [place for place in settings(runs) if place.scale == PUBLISHED_SCALE]
    rows = [row for entry in _entries() for row in _rows(*entry, places)]
    return _merged(rows)


def full_listing(runs: Runs) -> pd.DataFrame:
    """Every claim that is known, with what other scales say of it (not comparable) and what nothing was run for."""
    done = assessed(runs)
    places = [place for place in settings(runs) if place.scale != PUBLISHED_SCALE]
    rows: list[dict[str, Any]] = []
    for module, source_name, name, claim, case, value in _entries():
        mine = _of(done, source_name, name, case)
        found = mine.to_dict("records") or list(_rows(module, source_name, name, claim, case, value, places))
        rows += found or [_unchecked(source_name, name, claim, case, value)]
    return _merged(rows)


def contradictions(runs: Runs) -> list[str]:
    """A sentence for each claim that our numbers contradict; last those that only an estimate disagrees with."""
    frame = assessed(runs)
    if frame.empty or not (frame["verdict"] == "differs").any():
        return []
    sentences = []
    for _, rows in frame.groupby(["source", "claim", "case"], sort=False):
        judged = rows[rows["verdict"].isin(["agrees", "differs"])]
        firm = judged[judged["basis"] != "estimated"]
        judged = firm if (firm["verdict"] == "differs").any() else judged
        against = judged[judged["verdict"] == "differs"]
        if len(against):
            is_partial, is_estimate = len(against) != len(judged), against is not firm and firm.empty
            sentences.append(
                (is_estimate, is_partial, _sentence(against, is_partial=is_partial, is_estimate=is_estimate))
            )
    return [text for *_, text in sorted(sentences, key=lambda item: item[:2])]


def _sentence(against: pd.DataFrame, *, is_partial: bool, is_estimate: bool) -> str:
    rows = against.to_dict("records")
    first = rows[0]
    start = NOT_BORNE_OUT if is_estimate else CONTRADICTED
    how = ", under some readings only" if is_partial else ""
    subject = f"{first['case']}: " if first["case"] else ""
    trust = f", {first['trust']}" if first["seen"] == "recalled" else ""
    ours = "; ".join(f"{row['ours']} ({row['reading']})" if row["reading"] else row["ours"] for row in rows[:3])
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    note = f"; {first['note']}" if first["note"] else ""
    note += f"; missing: {first['missing']}" if first["missing"] else ""
    return f"{start}{how}: {subject}{first['says']} ({first['published']}{trust}); ours: {ours}{more}{note}."


def _entries() -> Iterator[tuple[ModuleType, str, str, Claim, str, Number]]:
    """Every claim and case of every source."""
    for source_name, module in source_modules().items():
        source: Source = module.SOURCE
        for name, claim in source.claims.items():
            for case, value in claim.cases.items():
                yield module, source_name, name, claim, case, value


def _rows(
    module: ModuleType, source_name: str, name: str, claim: Claim, case: str, value: Number, places: list[Evidence]
) -> Iterator[dict[str, Any]]:
    check = getattr(module, name, None)
    if check is None:
        return
    for place in places:
        evidence = place.asked_for(module.SOURCE.requests) if place.scale == PUBLISHED_SCALE else place
        evidence = evidence.among(claim.models)
        for reading in check(evidence, case) if isinstance(claim.value, dict) else check(evidence):
            yield _row(source_name, name, claim, case, value, place, _of_scale(reading, place))


def _of_scale(reading: Reading, place: Evidence) -> Reading:
    if place.scale == PUBLISHED_SCALE:
        return reading
    from dataclasses import replace

    return replace(reading, incomparable=f"the run is of scale {place.scale}, not of the published dimensions")


def _row(
    source: str, name: str, claim: Claim, case: str, value: Number, place: Evidence, reading: Reading
) -> dict[str, Any]:
    ran = place.workloads_of(reading.run_ids)
    missing = [model for model in claim.models if model not in ran]
    judgement = judge(claim, value, reading, missing)
    published = value if reading.published is None else reading.published
    interval = ""
    if reading.low is not None and reading.high is not None:
        ends = [number_words(claim, end, reading.unit) for end in (reading.low, reading.high)]
        interval = f" [{ends[0]} {EN_DASH} {ends[1]}]"
    return _identity(source, name, claim, case) | {
        "published": published_words(claim, published, reading.unit),
        "reading": reading.words,
        "ours": number_words(claim, reading.value, reading.unit) + interval,
        "basis": reading.basis,
        "hardware": place.hardware if reading.basis in ("measured", "estimated") else None,
        "verdict": judgement.verdict,
        "why": judgement.why,
        "note": reading.note,
        "missing": ", ".join(missing),
        "runs": ", ".join(dict.fromkeys(run[:8] for run in reading.run_ids)),
        "published_value": published,
        "our_value": reading.value,
        "low": reading.low,
        "high": reading.high,
        "run_ids": " ".join(dict.fromkeys(reading.run_ids)),
    }


def _unchecked(source: str, name: str, claim: Claim, case: str, value: Number) -> dict[str, Any]:
    why = f"to be checked by {claim.command}" if claim.command else claim.checked_by
    return _identity(source, name, claim, case) | {
        "published": published_words(claim, value),
        "verdict": "not run",
        "why": why,
        "published_value": value,
    }


def _identity(source: str, name: str, claim: Claim, case: str) -> dict[str, Any]:
    module = source_modules()[source]
    return {
        "source": source,
        "claim": name,
        "case": case,
        "says": claim.says,
        "seen": claim.seen,
        "trust": SEEN_WORDS[claim.seen],
        "their_hardware": module.SOURCE.hardware,
        "tolerance": claim.tolerance,
        "checked_by": claim.checked_by,
        "title": module.SOURCE.title,
    }


def _of(frame: pd.DataFrame, source: str, claim: str, case: str) -> pd.DataFrame:
    if frame.empty:
        return frame
    return frame[(frame["source"] == source) & (frame["claim"] == claim) & (frame["case"] == case)]


def _merged(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows as a frame; a count that several settings agree on is one row with all their runs."""
    kept: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = tuple(str(row.get(column)) for column in _SAME)
        if key in kept:
            kept[key] = kept[key] | {
                "runs": f"{kept[key]['runs']}, {row['runs']}",
                "run_ids": f"{kept[key]['run_ids']} {row['run_ids']}",
            }
        else:
            kept[key] = row
    return pd.DataFrame(list(kept.values()), columns=None if kept else _KEYS)
