from __future__ import annotations

import pytest

from suite.attribution.calls import PRECISION_NAMES, parse_call
from suite.attribution.trace import Signature


def call(dims: bytes = b"", types: bytes = b"", concrete: bytes = b"", name: str = "aten::mm"):
    return parse_call(Signature(name, dims, types, concrete))


def test_shapes_types_and_values() -> None:
    found = call(
        b"[[2, 3], [], [[1], [4, 5]]]", b'["float", "Scalar", "TensorList"]', b'["", "2", "", "[1, 1]", "False", "0.5"]'
    )
    assert found.shapes == [[2, 3], [], []], "neither a scalar nor a list of tensors has a shape"
    assert found.values == [None, 2, None, [1, 1], False, 0.5]


@pytest.mark.parametrize("odd", [b"null", b"3", b'"x"', b"[", b"{}", b"[null, 7]", b"[" * 10**5])
def test_odd_texts_are_empty(odd: bytes) -> None:
    found = call(odd, odd, odd)
    assert all(shape == [] for shape in found.shapes)
    assert found.precision is None
    assert found.flops is None


@pytest.mark.parametrize("odd", ["-1", "1.5", "true", '"3"', "null", "[2]", "1e308", str(2**70), str(2**40)])
def test_a_shape_that_no_tensor_has_is_empty(odd: str) -> None:
    found = call(f"[[{odd}, {2**20}], [{2**20}, 4]]".encode())
    assert found.shapes == [[], [2**20, 4]]
    assert found.flops is None


def test_flops_that_no_call_has_are_unknown() -> None:
    assert call(b"[[262144, 131072], [131072, 131071]]").flops == 2 * 262144 * 131072 * 131071
    assert call(b"[[262144, 131072], [131072, 131073]]").flops is None


@pytest.mark.parametrize(
    ("types", "precision"),
    [
        (b'["long int", "c10::BFloat16", "float"]', "bfloat16"),
        (b'["signed char", "c10::Half"]', "float16"),
        (b'["signed char", "signed char"]', "int8"),
        (b'["c10::Float8_e4m3fn", "float"]', "float8_e4m3fn"),
        (b'["Scalar", "TensorList", "long int", ""]', None),
    ],
)
def test_precision_is_that_of_the_first_floating_tensor(types: bytes, precision: str | None) -> None:
    assert call(types=types).precision == precision
    assert precision in PRECISION_NAMES


def test_a_call_knows_its_class_and_flops() -> None:
    found = call(b"[[2, 3], [3, 4]]", b'["float", "float"]')
    assert (found.operator_class, found.flops, found.computes) == ("linear", 48, True)
