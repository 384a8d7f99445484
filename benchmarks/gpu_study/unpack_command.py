"""``python -m benchmarks.gpu_study unpack FILES --into DIR``: packed results back to folders that ``python -m reports`` reads.

Exit codes: 0 done; 2 bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu_study.packing import PackingError, unpack

BAD_INPUT = 2


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_study unpack", description="Put packed results back."
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument(
        "--into", required=True, type=Path, metavar="DIR", help="e.g. reports/published/gpu_study_h200_2026"
    )
    options = parser.parse_args(arguments)
    try:
        names = unpack(options.files, options.into)
    except PackingError as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    runs = sum(name.endswith("/record.json") for name in names)
    sys.stdout.write(f"{options.into}: {len(names)} files, {runs} runs. Read them: python -m reports {options.into}\n")
    return 0
