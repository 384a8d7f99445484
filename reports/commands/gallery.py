"""``python -m reports gallery RUNS... --out DIR``: what every study shows, as figures in DIR and one page, DIR.md.

Exit codes: 0 all is well; 2 bad input, which includes a run that had to be left out of an otherwise finished gallery.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

BAD_INPUT = 2


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    from reports.gallery import make_gallery
    from reports.publish import OutputError, publish
    from reports.studies import studies

    out: Path = options.out
    page = out.parent / f"{out.name}.md"
    try:
        _check(options.runs, out, page)
        gallery = make_gallery(studies(), options.runs, out.name)
        if not gallery.shown:
            return _complain(f"{', '.join(map(str, options.runs))}: no study's command reports on a run in there.")
        publish(gallery.figures, out)
        page.write_text(gallery.page, encoding="utf-8")
    except OutputError as error:
        return _complain(str(error))
    for problem in gallery.problems:
        _complain(f"{problem}; this run is left out.")
    sys.stdout.write(
        f"Gallery: {page}, {_number(gallery.shown, 'study', 'studies')}, "
        f"{_number(gallery.figures, 'figure', 'figures')}.\n"
    )
    if gallery.missing:
        sys.stdout.write(f"No runs of {', '.join(gallery.missing)}.\n")
    return BAD_INPUT if gallery.problems else 0


def _check(runs: Sequence[Path], out: Path, page: Path) -> None:
    """Refuse what cannot be read and what must not be overwritten, before any work is done."""
    from reports.gallery import HEAD
    from reports.publish import OutputError

    for folder in runs:
        if not folder.is_dir():
            raise OutputError(f"{folder} is not a folder: name one that holds runs.")
    is_ours = page.is_file() and page.read_text(encoding="utf-8", errors="replace").startswith(HEAD)
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is not a folder: name one, for the figures to be written to.")
    if not is_ours and (page.exists() or (out.is_dir() and any(out.iterdir()))):
        raise OutputError(f"{page if page.exists() else out} is not a gallery's: name a new folder.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reports gallery", description="What every study shows.")
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUNS", help="a folder that holds studies' output folders"
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder for the figures; the page goes to DIR.md"
    )
    return parser


def _number(things: Collection[str], one: str, many: str) -> str:
    return f"{len(things)} {one if len(things) == 1 else many}"


def _complain(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return BAD_INPUT
