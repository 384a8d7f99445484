"""Reading a run's Parquet tables: only the columns that are asked for, strings as dictionaries, sums made in Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from suite.record_folder import RecordError
from suite.record_tables import TABLES

_SMALL_BYTES = 256 * 1024

_SUMS = ["calls", "host_self_s", "device_self_s", "estimated_s"]
_TOTAL_KEYS = ["stage", "operator_class", "attention_kind", "attention_part", "precision"]
_FLOPS = ("flops", "vector_flops")
_TOTAL_SUMS = [*_SUMS, *_FLOPS, "bytes_read", "bytes_written"]


@lru_cache(maxsize=64)
def _no_rows(name: str, columns: tuple[str, ...]) -> pa.Table:
    """What is read of a table that a run does not have; most runs lack some."""
    fields = [TABLES[name].field(column) for column in columns]
    return _conform(pa.schema(fields).empty_table(), fields)


class OperatorSums(NamedTuple):
    """The operator table in two sums, each small whatever the run's length. A sum of nulls alone stays null."""

    totals: pa.Table
    """Over steps, modules and operators: by stage, class, attention kind and part, precision. ``rows_without_flops`` and
    ``rows_without_vector_flops`` tell how many rows a sum leaves out, since nobody knows their FLOPs."""
    by_name: pa.Table
    """Over steps and modules: by stage and operator, apart for what ran between the parts, with the ``num_steps`` it ran in."""


def read_table(folder: Path, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """One table of a run, with string columns dictionary-encoded; no rows where the run has no such table.

    Raises:
        RecordError: the file is there and cannot be read.
    """
    schema = TABLES[name]
    fields = [schema.field(column) for column in (columns or schema.names)]
    path = folder / f"{name}.parquet"
    strings = [field.name for field in fields if pa.types.is_string(field.type)]
    try:
        # Of hundreds of small files opening and threads cost more than bytes: each is read at once, by this thread.
        source = pa.BufferReader(path.read_bytes())
        metadata = pq.read_metadata(source)
        known = set(metadata.schema.names)
        file = pq.ParquetFile(source, metadata=metadata, read_dictionary=[name for name in strings if name in known])
        return _conform(file.read([field.name for field in fields if field.name in known], use_threads=False), fields)
    except FileNotFoundError:
        return _no_rows(name, tuple(field.name for field in fields))
    except (OSError, pa.ArrowException) as error:
        raise RecordError(f"{path} cannot be read as a table: {_first_sentence(error)}") from None


class RunTables(NamedTuple):
    """Of a run's tables what a report keeps in memory."""

    sums: OperatorSums
    small: dict[str, pa.Table]
    """Tables below 256 KiB, by name: of hundreds of runs, opening files costs more than what is in them."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as Arrow streams: of pickled tables Arrow cannot join those whose dictionaries are empty (it crashes)."""
        filled = {name: _packed(table) for name, table in self.small.items() if table.num_rows}
        return _unpacked, ([_packed(table) for table in self.sums], filled, list(self.small))


def _packed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def _unpacked(sums: list[bytes], filled: dict[str, bytes], names: list[str]) -> RunTables:
    small = {
        name: pa.ipc.open_stream(filled[name]).read_all()
        if name in filled
        else _no_rows(name, tuple(TABLES[name].names))
        for name in names
    }
    return RunTables(OperatorSums(*(pa.ipc.open_stream(table).read_all() for table in sums)), small)


def read_tables(folders: Sequence[Path]) -> list[RunTables | str]:
    """Read every table of every run; a sentence in place of a run of which one cannot be read."""
    return [_tables_of(folder) for folder in folders]


def _tables_of(folder: Path) -> RunTables | str:
    try:
        others = {name: read_table(folder, name) for name in TABLES if name != "operators"}
        small = {name: table for name, table in others.items() if table.nbytes < _SMALL_BYTES}
        return RunTables(operator_sums(folder), small)
    except RecordError as error:
        return str(error)


def operator_sums(folder: Path) -> OperatorSums:
    """Sums of a run's operators.

    Raises:
        RecordError: the table is there and cannot be read.
    """
    import pyarrow.compute as pc

    rows = read_table(folder, "operators", [*_TOTAL_KEYS, *_TOTAL_SUMS, "module", "operator", "step"])
    for key in (*_TOTAL_KEYS, "operator"):  # Arrow cannot group by dictionaries that differ between chunks
        rows = rows.set_column(rows.schema.get_field_index(key), key, rows[key].cast(pa.string()))
    rows = rows.append_column("is_between_parts", rows["module"].is_null())
    by_name = _sums(rows, ["stage", "is_between_parts", "operator"], _SUMS, [("step", "count_distinct")])
    only_null = pc.CountOptions(mode="only_null")
    totals = _sums(rows, _TOTAL_KEYS, _TOTAL_SUMS, [(name, "count", only_null) for name in _FLOPS])
    renamed = {f"{name}_count": f"rows_without_{name}" for name in _FLOPS}
    return OperatorSums(
        totals.rename_columns([renamed.get(name, name) for name in totals.column_names]),
        by_name.rename_columns({"step_count_distinct": "num_steps"}),
    )


def _sums(rows: pa.Table, keys: list[str], columns: list[str], others: Sequence[tuple[Any, ...]] = ()) -> pa.Table:
    """Rows grouped by `keys`: `columns` summed, and other aggregates of Arrow; strings are dictionaries."""
    import pyarrow.compute as pc

    keep_null = pc.ScalarAggregateOptions(min_count=1)
    wanted = [(column, "sum", keep_null) for column in columns]
    sums = rows.group_by(keys, use_threads=False).aggregate([*wanted, *others])
    sums = sums.rename_columns([name.removesuffix("_sum") for name in sums.column_names])
    return _conform(sums, list(sums.schema))


def concatenate(tables: Sequence[pa.Table]) -> pa.Table:
    """The tables under one another, with one dictionary a column."""
    filled = [table for table in tables if table.num_rows] or tables[:1]
    return pa.concat_tables(filled).unify_dictionaries()


def _conform(table: pa.Table, fields: Sequence[pa.Field]) -> pa.Table:
    """`table` with exactly `fields`, in order: a column that an older run lacks is null, strings are dictionaries."""
    columns = {}
    for field in fields:
        target = pa.dictionary(pa.int32(), pa.string()) if pa.types.is_string(field.type) else field.type
        if field.name in table.column_names:
            column = table[field.name]
            if pa.types.is_string(column.type) and pa.types.is_dictionary(target):
                column = column.dictionary_encode()
            columns[field.name] = column if column.type == target else column.cast(target)
        else:
            columns[field.name] = pa.nulls(table.num_rows, field.type).cast(target)
    return pa.table(columns)


def _first_sentence(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
