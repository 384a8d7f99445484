"""``python -m benchmarks.gpu_study wheelhouse | run | check | unpack``; docs/gpu_study.md."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "wheelhouse": "wheels for a GPU node without internet",
    "run": "the plan of studies, as far as a budget goes; again, and it goes on",
    "check": "what verifies genscope on a GPU, alone",
    "unpack": "packed results back to folders that python -m reports reads",
}
"""Each a module, NAME_command; imported alone, since a bare node has few packages."""


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] not in COMMANDS:
        sys.stderr.write("python -m benchmarks.gpu_study COMMAND [--help]\n")
        sys.stderr.writelines(f"  {name:10} {what}\n" for name, what in COMMANDS.items())
        return 0 if given in (["--help"], ["-h"]) else 2
    return import_module(f"benchmarks.gpu_study.{given[0]}_command").main(given[1:])


if __name__ == "__main__":
    sys.exit(main())
