"""``python -m reports claims RUNS...``: every published number that is known, beside ours where a run can tell.

Exit codes: 0 all is well, contradicted claims included; 2 bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

BAD_INPUT = 2
_FORMS = (".md", ".csv", ".tex")


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    from reports.claims.assess import contradictions, full_listing
    from reports.exhibits import table_of
    from reports.loading import NoRunsError, load
    from reports.tables import claims

    form = options.out.suffix if options.out else ".md"
    if form not in _FORMS:
        return _complain(f"--out {options.out} must end in one of {', '.join(_FORMS)}.")
    try:
        runs = load(*options.runs).readable()
    except NoRunsError as error:
        return _complain(str(error))
    for problem in runs.problems:
        _complain(f"{problem}; this run is left out.")
    frame = full_listing(runs)
    text = table_of(claims, frame).files[form[1:]]
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    words = [f"{number} {verdict}" for verdict, number in frame["verdict"].value_counts().items()]
    sys.stdout.write(f"\nReadings of {frame['claim'].nunique()} claims: {', '.join(words)}.\n")
    sys.stdout.writelines(f"{sentence}\n" for sentence in contradictions(runs))
    return BAD_INPUT if runs.problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reports claims", description="Published numbers beside ours.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUNS", help="a run's folder, or one that holds runs")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"write the table to this file ({', '.join(_FORMS)})")
    return parser


def _complain(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return BAD_INPUT
