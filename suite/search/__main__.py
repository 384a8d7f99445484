"""``python -m suite.search [--runs N] OVERRIDES...``: run some combinations of a sweep, chosen by what the others gave.

Takes the words that ``run.py -m`` takes. Runs are saved where a sweep saves them, and what was run before is recognised.
Exit codes: those of ``run.py``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from suite.complaints import exit_status
from suite.composition import experiment_of, words_by_key
from suite.errors import ConfigError, RunFailedError, keep_for_exit
from suite.experiment import Experiment
from suite.progress import announce
from suite.search.objectives import Objectives, objectives
from suite.search.space import STACK, Space, space
from suite.search.visit import Visited, Words, visit

_GIB = 2**30


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    return exit_status(lambda: _search(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m suite.search",
        description="Find the stacks that nothing beats in time, peak memory and fidelity without running them all.",
        epilog="python -m suite.search --runs 12 study=pareto; python -m suite.search --runs 20 workload=animatediff "
        "execution=simulate scale=paper machine=a100_80gb 'optimization=[],operator_grouping,[operator_grouping,bf16]' "
        "'optimization.operator_grouping.num_slices=choice(2,4,8,16)'",
    )
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="runs of each search (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the search; the same one goes on where it ended")
    parser.add_argument(
        "overrides", nargs="+", metavar="OVERRIDE", help="as run.py -m takes them; values of optimization are searched"
    )
    return parser


def _search(options: argparse.Namespace) -> None:
    if find_spec("optuna") is None:
        raise ConfigError("suite.search needs Optuna: pip install 'genscope[search]'")
    if options.runs < 1:
        raise ConfigError(f"--runs={options.runs}: at least 1 is accepted")
    found = space(words_by_key(options.overrides).values())
    searches = list(found.searches())
    for words in searches:
        for chosen in found.samples():
            experiment_of((*words, *chosen))
    for words in searches:
        _search_one(found, words, options)


def _search_one(found: Space, words: Words, options: argparse.Namespace) -> None:
    made: dict[Words, Experiment] = {}

    def run(chosen: Words) -> Objectives | None:
        experiment = made[chosen] = experiment_of((*words, *chosen))
        try:
            record = announce(experiment, rerun=False)
        except RunFailedError as error:
            keep_for_exit(error)
            return None
        return objectives(record, experiment.folder)

    computes = not experiment_of(words).execution.needs_no_device
    visited = visit(found, run, num_runs=options.runs, seed=options.seed, with_distance=computes)
    _show(visited, made, words, computes)


def _show(visited: Visited, made: Mapping[Words, Experiment], words: Words, computes: bool) -> None:
    """The front as a table, and the command that draws it."""
    front = visited.front()
    title = f"{' '.join(words)}\n{len(front)} of {len(visited.runs)} runs are beaten by none"
    table = Table(title=escape(title), title_justify="left", title_style="")
    table.add_column("stack")
    for header in ("time / out of the box" if computes else "estimated time", "peak memory", "output's distance"):
        table.add_column(header, justify="right")
    for chosen, found in sorted(front.items(), key=lambda item: item[1].time):
        time = f"{found.time:.3f}" if computes else f"{found.time:.3g} s"
        distance = "not known" if found.distance is None else f"{found.distance:.2g}"
        stack = " ".join(word.removeprefix(f"{STACK}=") for word in chosen)
        table.add_row(escape(stack), time, f"{found.peak_bytes / _GIB:.3g} GiB", distance)
    console = Console(soft_wrap=True, highlight=False)
    console.print(table)
    folder = Path(next(iter(made.values())).output_dir)
    console.print(f"Drawn with the others: python -m reports {folder} --out {folder / 'report'}")


if __name__ == "__main__":
    sys.exit(main())
