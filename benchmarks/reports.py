"""How long a report of many runs takes, and how much memory.

    python benchmarks/reports.py [--num-runs 500]

A dozen runs of three workloads and four stacks, ten trials each, are made up and copied under other names; the report is
made by ``python -m reports`` in a process of its own, three times. Its imports are in the time, making the runs is not.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-runs", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        make_runs(runs, options.num_runs)
        for _ in range(TIMES):
            time_report(runs, Path(folder) / "report")


def make_runs(folder: Path, num_runs: int) -> None:
    """Copies of the tests' synthetic study, each a workload of its own with ids of its own."""
    sys.path.insert(0, str(ROOT))
    from tests.reports.synthetic import make_study

    originals = make_study(folder)
    for number in range(num_runs - len(originals)):
        copy, original = number // len(originals) + 1, originals[number % len(originals)]
        run = folder / f"{original.name}-{copy}"
        shutil.copytree(original, run)
        record = json.loads((run / "record.json").read_text())
        record["run_id"] = f"{record['run_id']}-{copy}"
        record["workload"]["name"] += f"-{copy}"
        (run / "record.json").write_text(json.dumps(record))


def time_report(runs: Path, out: Path) -> None:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "reports", str(runs), "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    wall_s, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sys.stdout.write(
        f"{wall_s:.1f} s, {cpu_s:.1f} s of processor time in two processes, "
        f"{after.ru_maxrss / 1024:.0f} MiB at most in one of them\n"
    )


if __name__ == "__main__":
    main()
