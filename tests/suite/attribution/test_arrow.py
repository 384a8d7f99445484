from __future__ import annotations

import numpy as np
import pyarrow as pa

from suite.attribution.arrow import names_column, numbers_column, table


def test_numbers_and_nulls() -> None:
    values = np.arange(20)
    assert numbers_column(values).to_pylist() == list(range(20))
    assert numbers_column(values[::2], values[::2] > 9).to_pylist() == [0, 2, 4, 6, 8, *[None] * 5]
    assert numbers_column(np.array([], np.float64)).to_pylist() == []
    numbers_column(values, values > 3).validate(full=True)


def test_names_and_nulls() -> None:
    column = names_column(np.array([1, -1, 0, 2]), ["a", "zwölf", None])
    column.validate(full=True)
    assert column.to_pylist() == ["zwölf", None, "a", None]
    assert names_column(np.array([-1, -1]), []).to_pylist() == [None, None]


def test_tables_from_lists_and_columns() -> None:
    schema = pa.schema([("a", pa.int32()), ("b", pa.string()), ("c", pa.float64()), ("d", pa.int64())])
    made = table(schema, {"a": [1, None], "b": ["x", None], "c": numbers_column(np.array([1, 2]))}, 2)
    made.validate(full=True)
    assert made.schema == schema
    assert made.to_pydict() == {"a": [1, None], "b": ["x", None], "c": [1.0, 2.0], "d": [None, None]}
