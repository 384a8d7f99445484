"""Arrow columns made on their buffers: ``pa.array`` would look for pandas and load it, which costs more than a small trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from suite.attribution.nesting import Ints, Mask


def numbers_column(values: npt.NDArray[Any], missing: Mask | None = None) -> pa.Array:
    """Numbers, null where they are missing."""
    validity = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    buffers = [validity, pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), buffers)


def names_column(numbers: Ints, names: Sequence[str | None]) -> pa.Array:
    """The names that the numbers point to; null for -1."""
    return _texts(names).take(numbers_column(numbers, numbers < 0))


def _texts(values: Sequence[str | None]) -> pa.Array:
    encoded = [(value or "").encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    missing = np.array([value is None for value in values], bool)
    validity = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)), validity)


def table(schema: pa.Schema, columns: Mapping[str, pa.Array | Sequence[Any]], num_rows: int) -> pa.Table:
    """A table of a schema. Lists may hold None; columns that are not given are null."""
    return pa.Table.from_arrays(
        [_column(columns.get(field.name), field.type, num_rows) for field in schema], schema=schema
    )


def _column(values: pa.Array | Sequence[Any] | None, kind: pa.DataType, num_rows: int) -> pa.Array:
    if values is None:
        return pa.nulls(num_rows, kind)
    if not isinstance(values, Sequence):
        return values.cast(kind)
    if pa.types.is_string(kind):
        return _texts(values)
    missing = np.array([value is None for value in values], bool)
    filled = [0 if value is None else value for value in values]
    return numbers_column(np.array(filled, kind.to_pandas_dtype()), missing)
