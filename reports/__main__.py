"""``python -m reports RUNS... --out DIR``: make a report of recorded runs; ``compare``, ``claims`` and ``gallery`` are others.

Exit codes: 0 all is well; 1 a comparison found a regression; 2 bad input, which includes a run that had to be left out of
an otherwise finished report.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.runs import Runs
    from reports.saving import Save

BAD_INPUT = 2
COMMANDS = ("claims", "compare", "gallery")
"""Modules of `reports.commands`; a folder of runs with such a name is written ./NAME."""


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in COMMANDS:
        return import_module(f"reports.commands.{given[0]}").main(given[1:])
    options = _parser().parse_args(given)
    from reports.loading import NoRunsError, run_folders
    from reports.loading import load as load_runs
    from reports.publish import OutputError, check_target
    from reports.saving import saver, warm_up
    from reports.second_process import second_process

    try:
        check_target(options.out)
        folders = run_folders(*options.runs, leave_out=options.out)
        with second_process(len(folders), warm_up) as later:  # it starts while this one reads
            runs = load_runs(*folders).readable(later)
            for problem in runs.problems:
                _complain(f"{problem}; this run is left out.")
            for sentence in runs.repeated:
                _complain(f"{sentence}; the later one counts.")
            if not len(runs):
                _complain("No run could be read, so no report was made.")
                return BAD_INPUT
            _report(runs, options.out, saver(later), in_columns=options.width == "column")
    except (NoRunsError, OutputError) as error:
        _complain(str(error))
        return BAD_INPUT
    return BAD_INPUT if runs.problems else 0


def _report(runs: Runs, out: Path, save: Save, *, in_columns: bool) -> None:
    from reports.answers import headline
    from reports.publish import publish
    from reports.report import make_report

    files, found = make_report(runs, save, in_columns=in_columns)
    publish(files, out)
    sys.stdout.write(f"Report: {out / 'index.html'}\n")
    for sentence in headline(found):
        sys.stdout.write(f"  {sentence}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reports",
        description="Make a report of recorded runs.",
        epilog="python -m reports claims RUNS...: published numbers beside ours. "
        "python -m reports compare A B: has anything got worse? "
        "python -m reports gallery RUNS... --out DIR: what every study shows.",
    )
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUNS", help="a run's folder, or a folder that holds runs"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder that the report is written to")
    parser.add_argument(
        "--width",
        choices=("page", "column"),
        default="page",
        help="of figures in a paper: 7 in, or 3.3 in where a figure fits (default: page)",
    )
    return parser


def _complain(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` has read enough: no reason for a traceback
    sys.exit(main())
