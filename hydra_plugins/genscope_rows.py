"""A Hydra sweeper for runs that are no product of choices: those that published measurements are held against.

Hydra imports this whenever it starts, and accepts sweepers of this package alone.
"""

from __future__ import annotations

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override


class RowSweeper(BasicSweeper):
    """Every run that some row needs, once, each with what else was typed; launchers work as with any sweep.

    Args:
        rows: a file of measurements like suite/published_gpu.yaml, the project's own if None.
        select: only rows whose id begins with one of these; all if empty.
        max_batch_size, params: as Hydra's own sweeper has them. A sweep among them repeats every run.
    """

    def __init__(self, rows: str | None, select: Any, max_batch_size: int | None, params: Any = None) -> None:
        super().__init__(max_batch_size, params)
        self.rows, self.select = rows, select

    def split_arguments(  # type: ignore[override]  # Hydra's is static, and is called on the instance
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """One batch after another of the rows' runs; what was typed comes last and so is what counts."""
        from suite.published_gpu import chosen_rows, runs

        own = runs(chosen_rows(self.rows, self.select))
        typed = [words for batch in BasicSweeper.split_arguments(overrides, None) for words in batch]
        jobs = [[*run, *words] for words in typed for run in own]
        return [list(batch) for batch in self.split_overrides_to_chunks(jobs, max_batch_size)] if jobs else []
