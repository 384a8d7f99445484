"""``python -m reports compare A B --fail-over latency=5%,peak_allocated=2%``: has anything got worse from A to B?

Exit codes: 0 nothing that ``--fail-over`` names got worse beyond its threshold and beyond noise; 1 something did, or a run that
succeeded in A did not in B; 2 bad input.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from reports.runs import Runs

REGRESSION, BAD_INPUT = 1, 2
OUTCOME = "outcome"


class ThresholdError(ValueError):
    """What ``--fail-over`` says cannot be understood, or cannot be told from these runs. The message is one sentence."""


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    from reports.loading import NoRunsError

    try:
        thresholds = parse_thresholds(options.fail_over)
        before, after = (_runs(folder) for folder in (options.before, options.after))
        frame, alone = _changes(before, after, thresholds)
    except (NoRunsError, ThresholdError) as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    _print(frame, alone)
    named = frame["metric"].isin([*thresholds, OUTCOME])
    worse = frame[(frame["verdict"] == "worse") & named]
    if thresholds and len(worse):
        sys.stdout.write(f"{len(worse)} {'regression' if len(worse) == 1 else 'regressions'} beyond the threshold.\n")
        return REGRESSION
    return 0


def parse_thresholds(words: str | None) -> dict[str, float]:
    """``latency=5%,peak_allocated=0.02`` as shares by metric.

    Raises:
        ThresholdError: an unknown name, or a threshold that is no share.
    """
    from reports.changes import METRICS

    found = {}
    for part in words.split(",") if words is not None else ():
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in METRICS or not equals:
            raise ThresholdError(
                f"--fail-over {part.strip()!r} must be NAME=SHARE with a NAME of {', '.join(METRICS)}."
            )
        found[name] = _share(name, value)
    return found


def _share(name: str, value: str) -> float:
    try:
        share = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        share = math.nan
    if not 0 <= share < math.inf:
        raise ThresholdError(f"--fail-over {name}={value} must be a share such as 5% or 0.05.")
    return share


def _runs(folder: Path) -> Runs:
    from reports.loading import NoRunsError, load

    runs = load(folder).readable()
    if left_out := [*runs.problems, *runs.repeated]:
        raise NoRunsError(f"{left_out[0]}, so nothing was compared.")
    return runs


def _changes(before: Runs, after: Runs, thresholds: dict[str, float]) -> tuple[pd.DataFrame, list[str]]:
    from reports.changes import changes, pairs

    found, alone = pairs(before, after)
    if not found:
        raise ThresholdError("No run of A has a partner in B: the same workload, scale, request, precision and stack.")
    frame = changes(before, after, thresholds)
    has_numbers = (frame["metric"] != OUTCOME).any()
    missing = [name for name in thresholds if not (frame["metric"] == name).any()]
    if missing and (has_numbers or frame.empty):
        raise ThresholdError(f"--fail-over names {missing[0]}, which no run has in both A and B.")
    return frame, alone


def _print(frame: pd.DataFrame, alone: list[str]) -> None:
    from reports import changes
    from reports.exhibits import table_of

    if len(frame):
        sys.stdout.write(table_of(changes, frame).files["md"].split("\n\n", 1)[1])
    sys.stdout.writelines(f"{sentence}.\n" for sentence in alone)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reports compare", description="Has anything got worse from A to B?"
    )
    parser.add_argument("before", type=Path, metavar="A", help="a run's folder, or a folder that holds runs")
    parser.add_argument("after", type=Path, metavar="B", help="the same, later")
    parser.add_argument(
        "--fail-over",
        metavar="NAME=SHARE,...",
        help="exit with 1 on a larger growth, e.g. latency=5%%,peak_allocated=2%%",
    )
    return parser
