"""A run's folder: ``record.json`` and Parquet tables, there whole or not at all, read back by any later version.

What they hold: `suite.record`. Nothing here needs torch or Hydra.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from suite.record import SCHEMA_VERSION, Record
from suite.record_tables import TABLES

RECORD_FILE = "record.json"


class RecordError(ValueError):
    """A folder that should hold a record holds none, or one that cannot be read. The message is one sentence."""


_UPGRADES: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""How to read an older record: schema version -> function that returns the same document one version newer."""


def save(record: Record, tables: Mapping[str, pa.Table], folder: Path, *, extra: Path | None = None) -> None:
    """Write a run's folder so that it either exists whole or not at all.

    Everything goes to a hidden sibling folder, is flushed to disk and renamed into place; a folder that was there before
    is moved aside first and removed last.

    Args:
        record: the facts.
        tables: Arrow tables by name, each a key of `TABLES`, cast to its schema.
        folder: the run's folder.
        extra: a folder whose content moves into the run's folder (outputs, trace), if given.

    Raises:
        KeyError: a table that no schema is known for.
    """
    unknown = set(tables) - set(TABLES)
    if unknown:
        raise KeyError(f"no schema for the tables {sorted(unknown)}")
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.parent / f".{folder.name}.partial-{os.getpid()}"
    aside = folder.parent / f".{folder.name}.replaced-{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    if extra is not None:
        for child in sorted(extra.iterdir()):
            shutil.move(str(child), partial / child.name)
    for name, table in tables.items():
        schema = TABLES[name]
        pq.write_table(table.select(schema.names).cast(schema), partial / f"{name}.parquet", compression="zstd")
    document = msgspec.json.format(msgspec.json.encode(record), indent=1)
    (partial / RECORD_FILE).write_bytes(document)
    _flush(partial)
    if folder.exists():
        folder.rename(aside)
    partial.rename(folder)
    _flush_folder(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


def load(folder: Path) -> Record:
    """Read a run's facts.

    Raises:
        RecordError: no record there, not a record, or one of a schema that this version cannot read.
    """
    path = folder / RECORD_FILE
    try:
        document = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        raise RecordError(f"{folder} holds no {RECORD_FILE}") from None
    except (OSError, msgspec.DecodeError) as error:
        raise RecordError(f"{path} cannot be read as a record: {error}") from None
    version = document.get("schema_version") if isinstance(document, dict) else None
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise RecordError(
            f"{path} has schema version {version!r}; this version of genscope reads up to {SCHEMA_VERSION}"
        )
    while version < SCHEMA_VERSION:
        if version not in _UPGRADES:
            raise RecordError(f"{path} has schema version {version}, which can no longer be upgraded")
        document = _UPGRADES[version](document)
        version += 1
    try:
        return msgspec.convert(document, Record)
    except msgspec.ValidationError as error:
        raise RecordError(f"{path} is not a record: {error}") from None


def load_table(folder: Path, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one table of a run; a run that has none of that name gives the table with no rows.

    Args:
        folder: the run's.
        name: of the table.
        columns: which of its columns; None for all.

    Raises:
        RecordError: the file is there and cannot be read.
    """
    path = folder / f"{name}.parquet"
    if not path.exists():
        return TABLES[name].empty_table().select(columns or TABLES[name].names)
    try:
        return pq.read_table(path, schema=TABLES[name], columns=None if columns is None else list(columns))
    except (OSError, pa.ArrowException) as error:
        raise RecordError(f"{path} cannot be read as a table: {error}") from None


def find_records(folder: Path) -> list[Path]:
    """Run folders at or below `folder`, sorted by path; folders that begin with a dot are not looked into."""
    found = []
    for root, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        if RECORD_FILE in files:
            found.append(Path(root))
    return sorted(found)


def remove_leftovers(folder: Path) -> None:
    """Tidy up after processes that were killed while saving `folder`; what a living process is writing stays.

    A partial folder is deleted. A replaced one is deleted where its successor arrived, and put back where it did not.
    """
    for leftover in folder.parent.glob(f".{folder.name}.*-*"):
        kind, _, process = leftover.name.removeprefix(f".{folder.name}.").partition("-")
        if kind not in ("partial", "replaced", "scratch") or _is_alive(process):
            continue
        if kind == "replaced" and not folder.exists():
            leftover.rename(folder)
        else:
            shutil.rmtree(leftover, ignore_errors=True)


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
