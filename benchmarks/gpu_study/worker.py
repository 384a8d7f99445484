"""Runs jobs in a process of its own, one after another, so that one that hangs or breaks CUDA takes nothing else with it.

parent --a line of overrides, JSON-->  stdin     worker: compose, build, run, save
parent <--a line of how it ended, JSON--  a pipe of its own;  what runs print goes to the error stream
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.gpu_study import ROOT
from benchmarks.gpu_study.plan import CHECK


def run_job(overrides: Sequence[str]) -> dict[str, Any]:
    """Run what ``python run.py OVERRIDES`` would, or a check, and say how it ended."""
    if overrides[0].startswith(CHECK):
        return _run_check(*overrides)
    from suite.composition import experiment_of
    from suite.errors import GenscopeError, RunFailedError
    from suite.progress import announce
    from suite.record_folder import load

    try:
        experiment = experiment_of(overrides)
        was_there = experiment.finished() is not None
        try:
            outcome = announce(experiment, rerun=False).outcome
        except RunFailedError:
            outcome = load(experiment.folder).outcome
        told = {"status": outcome.status, "reason": outcome.reason}
        return told | {"folder": experiment.name, "was_there": was_there}
    except GenscopeError as error:
        return {"status": "failed", "folder": None, "reason": str(error)}


def _run_check(check: str, device: str, scale: str, folder: str) -> dict[str, Any]:
    """A check that was made is ok, whatever its verdict."""
    from benchmarks.gpu_study.checking import lines, run_check

    document = run_check(check.removeprefix(CHECK), device, scale, ROOT / folder)
    sys.stderr.writelines(f"{line}\n" for line in lines(document))
    return {"status": "ok", "folder": check.replace("=", "-"), "reason": None}


def main() -> int:
    answers = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    for line in sys.stdin:
        answers.write(json.dumps(run_job(json.loads(line))) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
