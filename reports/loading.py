"""From folders to runs: every record at or below them, the latest of each configuration, and a sentence for each left out."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from reports.runs import Runs
from suite.record import Record, Sample
from suite.record_folder import RecordError, find_records
from suite.record_folder import load as load_record

_SAMPLE_TYPES = {
    "metric": pa.string(),
    "stage": pa.string(),
    "step": pa.int32(),
    "trial": pa.int32(),
    "arm": pa.string(),
    "warmup": pa.bool_(),
    "set_aside": pa.bool_(),
    "value": pa.float64(),
}


class NoRunsError(ValueError):
    """What was named holds no runs. The message is one sentence."""


def load(*folders: str | os.PathLike[str]) -> Runs:
    """Read every run at or below `folders`; a record that cannot be read is named in ``problems`` and left out.

    Args:
        folders: run folders, or folders that hold runs.

    Raises:
        NoRunsError: a folder is missing, or holds no runs.
    """
    paths = run_folders(*folders)
    kept: list[tuple[Path, Record, pa.Table]] = []
    problems = []
    with _no_collection():
        for path in paths:
            try:
                record = load_record(path)
            except RecordError as error:
                problems.append(str(error).split("\n", 1)[0])
                continue
            kept.append((path, msgspec.structs.replace(record, samples=[]), _samples_table(record.samples)))
    kept, repeated = _latest(kept)
    return Runs(
        [path for path, _, _ in kept],
        [record for _, record, _ in kept],
        [rows for _, _, rows in kept],
        problems,
        repeated,
    )


def _latest(
    found: Sequence[tuple[Path, Record, pa.Table]],
) -> tuple[list[tuple[Path, Record, pa.Table]], list[str]]:
    """Of runs of one configuration (they have one run id) the latest, and a sentence for each of the others."""
    latest: dict[str, Path] = {}
    for path, record, _ in sorted(found, key=lambda run: run[1].created):
        latest[record.run_id] = path
    others = [
        f"{path} is an earlier run of the same configuration as {latest[record.run_id]}"
        for path, record, _ in found
        if latest[record.run_id] != path
    ]
    return [run for run in found if latest[run[1].run_id] == run[0]], others


def run_folders(*folders: str | os.PathLike[str], leave_out: Path | None = None) -> list[Path]:
    """The folder of every run at or below `folders`, but for those in `leave_out`, such as where the report goes to.

    Raises:
        NoRunsError: a folder is missing, or holds no runs.
    """
    found: dict[Path, None] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise NoRunsError(f"{folder} is not a folder: name a run's folder or one that holds runs.")
        runs = [run for run in find_records(folder) if leave_out is None or not _is_within(run, leave_out)]
        if not runs:
            raise NoRunsError(f"{folder} holds no runs: no record.json was found at or below it.")
        found |= dict.fromkeys(run.resolve() for run in runs)
    return list(found)


def _is_within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _samples_table(samples: Sequence[Sample]) -> pa.Table:
    values = zip(*map(msgspec.structs.astuple, samples), strict=True) if samples else ((),) * len(_SAMPLE_TYPES)
    by_name = dict(zip(Sample.__struct_fields__, values, strict=True))
    columns: dict[str, Any] = {}
    for name, kind in _SAMPLE_TYPES.items():
        column = pa.array(by_name[name], kind)
        columns[name] = column.dictionary_encode() if pa.types.is_string(kind) else column
    return pa.table(columns)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Reading makes millions of small objects and no cycles; collecting among them costs more than reading."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
