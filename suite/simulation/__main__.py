"""``python -m suite.simulation benchmark`` measures this machine; ``... calibrate RUNS... --machine NAME`` fits its estimates
to runs that were measured on it, and ``... calibrate RUNS... --published`` those of every machine to published latencies.

Exit codes: 0 done; 2 bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from suite.calibration import Cells, calibrate, cells, configuration
from suite.errors import ConfigError, GenscopeError
from suite.machine import Calibration, Machine, machines
from suite.record_folder import RecordError, find_records, load, load_table
from suite.roofline import MATRIX_CLASSES


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (GenscopeError, RecordError) as error:
        sys.stderr.write(f"genscope: {error}\n")
        return ConfigError.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m suite.simulation", description="What time estimates rest on.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    benchmark = commands.add_parser("benchmark", help="measure this machine again, for machine=this")
    benchmark.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    benchmark.set_defaults(run=_benchmark)
    fit = commands.add_parser("calibrate", help="fit efficiencies to measured runs and the simulations of the same")
    fit.add_argument("runs", nargs="+", type=Path, metavar="RUNS", help="folders that hold both")
    of = fit.add_mutually_exclusive_group(required=True)
    of.add_argument("--machine", metavar="NAME", help="a file of conf/machine, or this")
    of.add_argument(
        "--published",
        nargs="?",
        const=Path(),
        type=Path,
        metavar="ROWS",
        help="every machine, to published latencies (suite/published_gpu.yaml) and the runs of study=published_gpu",
    )
    fit.add_argument("--out", type=Path, metavar="FILE", help="written for machine.calibration=FILE")
    fit.set_defaults(run=_calibrate)
    return parser


def _benchmark(options: argparse.Namespace) -> None:
    from suite.simulation.benchmark import measured

    document = msgspec.json.format(msgspec.json.encode(measured(options.device)), indent=1)
    sys.stdout.write(f"{document.decode()}\n")


def _calibrate(options: argparse.Namespace) -> None:
    if options.published is not None:
        _calibrate_to_published(options)
        return
    machine = _machine(options.machine)
    found = calibrate(_measured_runs(options.runs, machine), machine)
    path = options.out or Path(f"{options.machine}.calibration.json")
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    sys.stdout.write("".join(f"{line}\n" for line in [*_lines(found), f"Use it: machine.calibration={path}"]))


def _calibrate_to_published(options: argparse.Namespace) -> None:
    from suite.simulation.published import fitted

    found = fitted(options.runs, None if options.published == Path() else options.published)
    path = options.out or Path("published.calibrations.json")
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    told = [line for one in found.values() for line in (f"{one.machine}: {one.basis}", *_lines(one)[1:])]
    sys.stdout.write("".join(f"{line}\n" for line in [*told, f"{path} has the calibrations of {len(found)} machines."]))


def _machine(name: str) -> Machine:
    if name == "this":
        from suite.simulation.benchmark import this_machine

        return this_machine()
    known = machines()
    if name not in known:
        raise ConfigError(f"--machine {name}: {', '.join([*known, 'this'])} are known")
    return known[name]


def _measured_runs(folders: Sequence[Path], machine: Machine) -> list[Cells]:
    """Cells of every measured run that has a simulation of the same configuration beside it; the others are named."""
    records = {path: load(path) for folder in folders for path in find_records(folder)}
    ended = {path: record for path, record in records.items() if record.outcome.status == "ok"}
    simulated = {configuration(record): path for path, record in ended.items() if record.execution == "simulate"}
    found = []
    for path, record in ended.items():
        if record.execution != "measure":
            continue
        partner = simulated.get(configuration(record))
        if partner is None:
            command = record.config.get("command") or ""
            sys.stderr.write(f"{record.name} has no simulation beside it: run {command} execution=simulate\n")
            continue
        found.append(cells(record, load_table(path, "operators"), load_table(partner, "operators"), machine))
    return found


def _lines(found: Calibration) -> list[str]:
    """What was fitted, for the person who waits."""
    lines = [f"{found.machine}: fitted to {len(found.runs)} runs"]
    lines += [
        f"  {name}: {reached.compute:.0%} of peak, {reached.memory:.0%} of bandwidth, {reached.latency_s * 1e6:.2f} us a call"
        for name, reached in found.efficiencies.items()
        if found.left_out is None or name in MATRIX_CLASSES
    ]
    if found.launch_overhead_s is not None:
        lines.append(f"  host: {found.launch_overhead_s * 1e6:.1f} us a call")
    if found.relative_error is None or found.largest_relative_error is None:
        return [*lines, "The error is unknown: leaving one run out needs two."]
    return [
        *lines,
        f"The estimate of {found.left_out or 'a run that was left out'} is off its measured latency by "
        f"{found.relative_error:.0%} in the median, {found.largest_relative_error:.0%} at worst.",
    ]


if __name__ == "__main__":
    sys.exit(main())
