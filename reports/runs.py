"""Runs as tidy pandas frames: the notebook's way in, and what every figure and table is made from.

>>> from reports import load
>>> runs = load("outputs")
>>> runs.samples.query("metric == 'latency_s' and stage == 'generate'").groupby("stack").value.median()
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from reports import notebook
from reports.facts import RUN_COLUMNS, run_facts
from reports.reading import OperatorSums, RunTables, concatenate, operator_sums, read_table, read_tables
from reports.second_process import Later, here, last_first
from suite.record import Record

_RUNS_AT_ONCE = 8
"""Read in one go by a process."""


class Runs:
    """A set of runs. Frames are read when first asked for; units are those of the record (seconds, bytes).

    Attributes:
        records: the facts of each run, without samples.
        folders: where each run lies.
        problems: one sentence for each folder that could not be read and is therefore left out.
        repeated: one sentence for each run that is left out because a later one has the same configuration; several studies
            may well hold the same run.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        records: Sequence[Record],
        samples: Sequence[pa.Table],
        problems: Sequence[str] = (),
        repeated: Sequence[str] = (),
    ) -> None:
        self.folders = list(folders)
        self.records = list(records)
        self.problems = list(problems)
        self.repeated = list(repeated)
        self._samples = list(samples)
        self._kept: dict[int, RunTables] = {}

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return notebook.text(self)

    def _repr_html_(self) -> str:
        return notebook.html(self)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row a run: identity, request, outcome, and the group of runs that it may be compared with."""
        return run_facts(self.records, self.folders)

    @cached_property
    def samples(self) -> pd.DataFrame:
        """Raw samples of all arms, warm-up included (column ``warmup``)."""
        return self._joined(self._samples)

    @cached_property
    def operators(self) -> pd.DataFrame:
        """Every row of the operator tables. Large; figures need only `operator_totals`."""
        return self._table("operators")

    @cached_property
    def operator_totals(self) -> pd.DataFrame:
        """Operators summed over steps, modules and operators: a few rows a run."""
        return self._joined([self._sums_of(index).totals for index in range(len(self))])

    @cached_property
    def operators_by_name(self) -> pd.DataFrame:
        """Operators summed over steps and modules: a row for each name in a stage, apart for what ran between the parts."""
        return self._joined([self._sums_of(index).by_name for index in range(len(self))])

    @cached_property
    def attention(self) -> pd.DataFrame:
        """One row an attention call, in time order."""
        return self._table("attention")

    @cached_property
    def memory(self) -> pd.DataFrame:
        """Time line of one generation a run."""
        return self._table("memory")

    @cached_property
    def memory_peaks(self) -> pd.DataFrame:
        """Peak bytes of each stage."""
        return self._table("memory_peaks")

    @cached_property
    def device_activity(self) -> pd.DataFrame:
        """How busy the device was, by stage and step; of runs that were profiled on one."""
        return self._table("device_activity")

    def having(self, name: str) -> list[str]:
        """Ids of the runs that have such a table."""
        return [
            record.run_id
            for record, folder in zip(self.records, self.folders, strict=True)
            if (folder / f"{name}.parquet").exists()
        ]

    def table(self, name: str, run_ids: Sequence[str], columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A table of some runs only, for figures that draw a few of many; of these all columns, or some."""
        chosen = set(run_ids)
        wanted = [index for index, record in enumerate(self.records) if record.run_id in chosen]
        return self._joined([self._read(index, name, columns) for index in wanted], wanted)

    def readable(self, later: Later = here) -> Runs:
        """These runs without those whose tables cannot be read; `problems` tells which and why."""
        groups = [self.folders[start : start + _RUNS_AT_ONCE] for start in range(0, len(self), _RUNS_AT_ONCE)]
        read = [run for group in last_first([later(read_tables, group) for group in groups]) for run in group]
        kept = [index for index, run in enumerate(read) if isinstance(run, RunTables)]
        chosen = Runs(
            [self.folders[index] for index in kept],
            [self.records[index] for index in kept],
            [self._samples[index] for index in kept],
            [*self.problems, *(run for run in read if isinstance(run, str))],
            self.repeated,
        )
        chosen._kept = dict(enumerate(run for run in read if isinstance(run, RunTables)))
        return chosen

    def _sums_of(self, index: int) -> OperatorSums:
        if index not in self._kept:
            self._kept[index] = RunTables(operator_sums(self.folders[index]), {})
        return self._kept[index].sums

    def _table(self, name: str) -> pd.DataFrame:
        return self._joined([self._read(index, name) for index in range(len(self))])

    def _read(self, index: int, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        kept = self._kept.get(index)
        if kept is None or name not in kept.small:
            return read_table(self.folders[index], name, columns)
        return kept.small[name] if columns is None else kept.small[name].select(list(columns))

    def _joined(self, tables: Sequence[pa.Table], which: Sequence[int] | None = None) -> pd.DataFrame:
        """The tables as one frame, with each run's columns in front as categoricals."""
        which = range(len(self)) if which is None else which
        if not tables:
            return pd.DataFrame(columns=[*RUN_COLUMNS])
        frame = concatenate(tables).to_pandas(self_destruct=True)
        owner = np.repeat(np.asarray(which, dtype=np.intp), [table.num_rows for table in tables])
        facts = {}
        for column in RUN_COLUMNS:
            codes, categories = pd.factorize(self.runs[column])
            facts[column] = pd.Categorical.from_codes(codes[owner], categories=categories)
        return pd.concat([pd.DataFrame(facts, index=frame.index), frame], axis=1)
