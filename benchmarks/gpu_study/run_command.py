"""``python -m benchmarks.gpu_study run --wheelhouse DIR --out DIR``: the plan, as far as a budget goes; again, and it goes on.

    install (if need be) --> what earlier calls packed --> runs, one by one, in a process of their own --> packed results

Exit codes: 0 done, or stopped within the budget; 1 runs failed; 2 bad input.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu_study import ROOT
from benchmarks.gpu_study.installation import InstallationError, install, missing, restart_with, torch_sees_cuda
from benchmarks.gpu_study.packing import PackingError, pack, unpack
from benchmarks.gpu_study.plan import PLAN, PlanError, Where, read_plan
from benchmarks.gpu_study.processes import Worker
from benchmarks.gpu_study.schedule import Job, Ledger, work_off
from benchmarks.gpu_study.telling import ending, summary, verdicts

BAD_INPUT = 2
PACKING_S = 15.0
"""Kept back from the budget for packing and for ending the run in progress."""
PACK_EVERY_S = 60.0
"""A call that is killed has lost no more than this."""


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    start = options.started or time.time()
    try:
        options.work = options.work or Path("outputs/gpu_study_simulated" if options.simulate else "outputs/gpu_study")
        _require_packages(options, arguments, start)
        _require_device(options)
        options.out.mkdir(parents=True, exist_ok=True)
        unpack(options.resume, ROOT / options.work)
        where = _where(options)
        jobs = _jobs(options, where)
    except (InstallationError, PackingError, PlanError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    ledger = Ledger.read(ROOT / options.work / f"ledger-{where.label}.json")
    ledger.forget_lost(jobs, ROOT / options.work)
    home = _Home(ROOT / options.work, options.out, jobs, ledger, options.budget)
    with _told_to_stop(), Worker() as worker, home:
        for job, ended in work_off(jobs, ledger, worker.run, lambda: start + options.budget - PACKING_S - time.time()):
            sys.stderr.write(f"[{time.time() - start:4.0f} s] {ending(job, ended)}\n")
            home.bring(PACK_EVERY_S)
    sys.stdout.write(summary(jobs, ledger, options.budget))
    return int(any(ledger.of(job).status in ("failed", "crashed") for job in jobs))


def _require_packages(options: argparse.Namespace, arguments: Sequence[str], start: float) -> None:
    """Install what cannot be imported, and start anew with it; once."""
    if not missing():
        return
    if options.started is not None:
        raise InstallationError(f"{', '.join(missing())} cannot be imported, and the wheelhouse holds none of it.")
    site = ROOT / options.work / ".site"
    install(options.wheelhouse, site)
    restart_with(site, [*arguments, "--started", str(start)])


def _require_device(options: argparse.Namespace) -> None:
    """Without this every run would end as unsupported, for good."""
    if options.device == "cuda" and not options.simulate and not torch_sees_cuda():
        raise InstallationError("torch finds no CUDA device here: --device cpu --scale smoke is a test drive.")


def _where(options: argparse.Namespace) -> Where:
    precision = options.precision or ("float16" if options.device == "cuda" else "float32")
    return Where(options.device, options.scale, precision, str(options.work), options.simulate)


def _jobs(options: argparse.Namespace, where: Where) -> list[Job]:
    jobs = read_plan(options.plan).jobs(where)
    known = list(dict.fromkeys(job.study for job in jobs))
    for name in options.only:
        if name not in known:
            raise PlanError(f"--only {name}: the plan has {', '.join(known)}.")
    return [job for job in jobs if not options.only or job.study in options.only]


@dataclass
class _Home:
    """Where results are packed to: now and then, and whatever happens at the end."""

    source: Path
    out: Path
    jobs: Sequence[Job]
    ledger: Ledger
    budget_s: float
    _last: float = 0.0

    def __enter__(self) -> None:
        self._last = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.bring(0)

    def bring(self, every_s: float) -> None:
        if time.monotonic() - self._last < every_s:
            return
        self.ledger.write()
        packed = pack(self.source, self.out, name="results")
        page = summary(self.jobs, self.ledger, self.budget_s)
        page += "".join(f"- {name} did not fit into the files.\n" for name in packed.left_out)
        page += verdicts(self.source)
        (self.out / "summary.md").write_text(page, encoding="utf-8")
        self._last = time.monotonic()


@contextmanager
def _told_to_stop() -> Iterator[None]:
    """Being told to stop is an exception, so that results are packed."""

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_study run",
        description="The plan, as far as a budget goes; again, and it goes on.",
    )
    add = parser.add_argument
    add(
        "--out", required=True, type=Path, metavar="DIR", help="for packed results: 8 files of less than 16 MiB at most"
    )
    add("--wheelhouse", type=Path, metavar="DIR", help="installed from where packages are missing (make wheelhouse)")
    add("--budget", type=float, default=480, metavar="S", help="seconds of this call, installation included")
    add("--resume", nargs="+", type=Path, default=[], metavar="FILE", help="what earlier calls packed")
    add(
        "--work", type=Path, metavar="DIR", help="for runs, below the project; by default outputs/gpu_study[_simulated]"
    )
    add("--only", nargs="+", default=[], metavar="STUDY", help="of the plan")
    add("--plan", type=Path, default=PLAN, metavar="FILE")
    add("--device", choices=("cuda", "cpu"), default="cuda")
    add(
        "--scale", choices=("paper", "small", "smoke"), default="paper", help="a test drive: --device cpu --scale smoke"
    )
    add("--precision", choices=("float16", "bfloat16", "float32"), help="by default float16, on a CPU float32")
    add("--simulate", metavar="MACHINE", help="simulate the same runs for a machine of conf/machine, on any computer")
    add("--started", type=float, help=argparse.SUPPRESS)
    return parser
