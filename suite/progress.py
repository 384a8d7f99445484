"""What a run tells the person at the terminal, on the error stream."""

from __future__ import annotations

import shlex
import time

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from suite.ending import headline, lines, numbers_of
from suite.errors import RunFailedError
from suite.experiment import Experiment
from suite.record import Record
from suite.record_folder import RecordError
from suite.sweep import Ended, keep_for_table

INDENT = 2


def announce(experiment: Experiment, *, rerun: bool) -> Record:
    """Run the experiment unless it is finished already, and say how it went.

    Raises:
        RunFailedError: the run ended as ``failed``.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    finished = None if rerun else experiment.finished()
    if finished is not None:
        _tell(console, experiment, finished, before="[dim]finished before[/] ")
        return finished
    start = time.monotonic()
    with console.status(escape(experiment.name)) as status:

        def say(message: str) -> None:
            status.update(f"{escape(experiment.name)}: {escape(message)}")

        if not console.is_terminal:
            console.print(f"running {escape(experiment.name)}")
        record = experiment.run(say)
    _tell(console, experiment, record, after=f" [dim]({time.monotonic() - start:.1f} s)[/]")
    if record.outcome.status == "failed":
        raise RunFailedError(f"{experiment.name} failed; {experiment.folder} holds what is known")
    return record


def _tell(console: Console, experiment: Experiment, record: Record, before: str = "", after: str = "") -> None:
    """The run's name and outcome, between words in the markup of rich, and its main numbers below."""
    colour = "green" if record.outcome.status == "ok" else "yellow"
    console.print(f"{before}{escape(experiment.name)}: [{colour}]{escape(headline(record))}[/]{after}")
    try:
        numbers = numbers_of(record, experiment.folder, experiment.out_of_the_box_folder)
        said = lines(record, numbers)
    except RecordError as error:
        numbers, said = None, [str(error)]
    for line in said:
        if console.is_terminal:  # long ones go on below themselves
            console.print(Padding(escape(line), (0, 0, 0, INDENT)), soft_wrap=False)
        else:
            console.print(" " * INDENT + escape(line))
    keep_for_table(Ended(shlex.split(experiment.command), record.outcome.status, record.outcome.reason, numbers))
