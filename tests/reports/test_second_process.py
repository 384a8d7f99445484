"""Work in two processes: results keep their order, whoever makes them, and tables travel whole."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import pyarrow as pa
import pytest

from reports.loading import load
from reports.reading import concatenate, read_tables
from reports.second_process import MANY_RUNS, here, last_first, second_process
from tests.reports.synthetic import make_run


def number_and_maker(number: int) -> tuple[int, int]:
    time.sleep(0.05)
    return number, os.getpid()


def nothing() -> None:
    pass


def test_both_processes_work_and_results_keep_their_order() -> None:
    with second_process(MANY_RUNS, nothing) as later:
        later(number_and_maker, 0)()  # it has started
        found = last_first([later(number_and_maker, number) for number in range(20)])
    assert [number for number, _ in found] == list(range(20))
    makers = {maker for _, maker in found}
    assert os.getpid() in makers
    assert len(makers) == 2


def test_few_runs_need_no_second_process() -> None:
    with second_process(MANY_RUNS - 1, nothing) as later:
        assert later is here
        assert later(number_and_maker, 3)() == (3, os.getpid())


def test_an_error_over_there_is_raised_here() -> None:
    with second_process(MANY_RUNS, nothing) as later, pytest.raises(ZeroDivisionError):
        later(divmod, 1, 0)()


def test_tables_of_a_run_travel_whole(tmp_path: Path) -> None:
    """Pickled tables with empty dictionaries crash Arrow when they are joined; these are joined with tables read here."""
    full, bare = make_run(tmp_path, "parti", num_trials=1), make_run(tmp_path, "parti", num_trials=1, seed="bare")
    for name in ("attention", "memory", "operators"):
        (bare / f"{name}.parquet").unlink()
    for read in read_tables([full, bare]):
        assert not isinstance(read, str)
        back = pickle.loads(pickle.dumps(read))
        assert list(back.small) == list(read.small)
        pairs = [
            *zip(back.sums, read.sums, strict=True),
            *((back.small[name], read.small[name]) for name in read.small),
        ]
        for theirs, ours in pairs:
            assert theirs.schema == ours.schema
            assert theirs.to_pylist() == ours.to_pylist()
            both = concatenate([theirs, ours, theirs])
            assert isinstance(both, pa.Table)
            assert both.num_rows in (3 * ours.num_rows, 0)


def test_runs_read_there_are_those_read_here(study: Path) -> None:
    with second_process(MANY_RUNS, nothing) as later:
        there = load(study).readable(later)
    ours = load(study).readable()
    assert there.operator_totals.equals(ours.operator_totals)
    assert there.attention.equals(ours.attention)
    assert there.problems == ours.problems
