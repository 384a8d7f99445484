from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from suite.attribution.rows import Rows, operator_table
from suite.attribution.taxonomy import ATTENTION_KINDS, ATTENTION_PARTS, OPERATOR_CLASSES

KEYS = st.tuples(
    *(st.integers(low, 2) for low in (-1, -1, -1, 0)),
    st.sampled_from([OPERATOR_CLASSES.index(name) for name in ("convolution", "attention", "normalization")]),
    st.integers(-1, 2),
    st.integers(-1, 1),
    st.integers(0, 2),
)
SUMS = st.tuples(*[st.integers(0, 2**40)] * 5, st.integers(0, 1))
NAMES = {"operators": ["a", "b", "c"], "stages": ["s", "t", "u"], "modules": ["m", "n", "o"]}


def columns(rows: list[tuple[int, ...]]) -> Rows:
    return Rows(*np.array(rows, np.int64).reshape(-1, 14).T)


@given(st.lists(st.tuples(KEYS, SUMS)), st.integers(0, 5))
def test_grouping_is_what_a_dictionary_does(rows: list[tuple[tuple[int, ...], tuple[int, ...]]], cut: int) -> None:
    expected: dict[tuple[int, ...], list[int]] = {}
    for key, sums in rows:
        before = expected.setdefault(key, [0] * 6)
        expected[key] = [a + b for a, b in zip(before, sums, strict=True)]
    flat = [key + sums for key, sums in rows]
    found = operator_table([columns(flat[:cut]), columns(flat[cut:])], **NAMES, has_device=True).to_pylist()
    assert len(found) == len(expected)
    for row, (key, (calls, host, device, flops, vector_flops, unknown)) in zip(found, expected.items(), strict=True):
        stage, step, module, operator, operator_class, kind, part, _ = key
        assert row["stage"] == ([*NAMES["stages"], None][stage])
        assert row["step"] == (None if step < 0 else step)
        assert row["module"] == ([*NAMES["modules"], None][module])
        assert row["operator"] == NAMES["operators"][operator]
        assert row["operator_class"] == OPERATOR_CLASSES[operator_class]
        assert row["attention_kind"] == [*ATTENTION_KINDS, None][kind]
        assert row["attention_part"] == [*ATTENTION_PARTS, None][part]
        assert (row["calls"], row["host_self_s"], row["device_self_s"]) == (calls, host / 1e9, device / 1e9)
        is_norm = row["operator_class"] == "normalization"  # which multiplies no matrices, whatever else it does
        assert row["flops"] == (None if unknown and not is_norm else flops)
        assert row["vector_flops"] == (None if unknown else vector_flops)
        assert row["estimated_s"] is row["bytes_read"] is None


def test_more_flops_than_an_integer_holds_are_unknown() -> None:
    rows = [(*(0,) * 11, 2**53, 2**53, 0)] * 1023
    (row,) = operator_table([columns(rows)], **NAMES, has_device=False).to_pylist()
    assert row["flops"] == row["vector_flops"] == 1023 * 2**53
    (row,) = operator_table([columns(rows * 2)], **NAMES, has_device=False).to_pylist()
    assert row["flops"] is row["vector_flops"] is None


def test_a_host_tells_nothing_of_a_device() -> None:
    (row,) = operator_table([columns([(0,) * 14])], **NAMES, has_device=False).to_pylist()
    assert row["device_self_s"] is None
