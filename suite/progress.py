"""What a person sees while runs go on: a live line on a terminal, plain lines elsewhere, and how each run ended."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape

from suite.errors import RunFailedError
from suite.experiment import Experiment
from suite.record import Record
from suite.statistics import median_interval


def announce(experiment: Experiment, *, rerun: bool) -> Record:
    """Run an experiment, or recognise that it was run, and say so.

    Raises:
        RunFailedError: it failed; its record is saved.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    finished = None if rerun else experiment.finished()
    if finished is not None:
        console.print(f"[dim]finished before[/] {escape(experiment.name)}: {ending(finished)}")
        return finished
    start = time.monotonic()
    with console.status(escape(experiment.name)) as status:

        def say(message: str) -> None:
            status.update(f"{escape(experiment.name)}: {escape(message)}")

        if not console.is_terminal:
            console.print(f"running {escape(experiment.name)}")
        record = experiment.run(say)
    console.print(f"{escape(experiment.name)}: {ending(record)} [dim]({time.monotonic() - start:.1f} s)[/]")
    if record.outcome.status == "failed":
        raise RunFailedError(f"{experiment.name} failed; {experiment.folder} holds what is known")
    return record


def ending(record: Record) -> str:
    """How a run ended, in the markup of rich: its outcome with the reason, or the median time of a generation."""
    outcome = record.outcome
    if outcome.status != "ok":
        return f"[yellow]{outcome.status}[/]: {escape(outcome.reason or '')}"
    totals = list(record.latencies().values())
    if not totals:
        return "[green]ok[/]"
    interval = median_interval(totals)
    spread = f" [{interval.low:.3f} - {interval.high:.3f}]" if interval.num_values > 1 else ""
    doubts = "".join(
        f"; [yellow]{escape(arm.name)} is doubtful[/]: {escape(arm.doubt)}" for arm in record.arms if arm.doubt
    )
    return f"[green]ok[/], {interval.median:.3f} s a generation{escape(spread)}{doubts}"
