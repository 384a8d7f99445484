"""``python -m benchmarks.gpu_study check [NAME...] --out DIR``: what verifies genscope on a GPU, with figures.

Exit codes: 0 nothing failed; 1 something did; 2 bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

BAD_INPUT = 2


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_study check", description="What verifies genscope on a GPU."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="checks; by default all")
    parser.add_argument("--out", type=Path, default=Path("outputs/gpu_study"), metavar="DIR")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--scale", choices=("smoke", "small", "paper"), default="small")
    options = parser.parse_args(arguments)
    from benchmarks.gpu_study.checking import has_failed, lines, names, run_check

    known = names()
    for name in options.names:
        if name not in known:
            sys.stderr.write(f"There is no check {name}: {', '.join(known)} are known.\n")
            return BAD_INPUT
    failed = False
    for name in options.names or known:
        document = run_check(name, options.device, options.scale, options.out)
        sys.stdout.writelines(f"{line}\n" for line in lines(document))
        sys.stdout.flush()
        failed |= has_failed(document)
    return int(failed)
