"""What an operator was called with: shapes, data types and values, read from the texts that a trace keeps of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import msgspec

from suite.attribution.flops import flops
from suite.attribution.taxonomy import computes, operator_class
from suite.attribution.trace import Signature
from suite.attribution.vector_flops import vector_flops

PRECISIONS: Mapping[str, str] = {
    "float": "float32",
    "c10::BFloat16": "bfloat16",
    "c10::Half": "float16",
    "double": "float64",
    "c10::Float8_e4m3fn": "float8_e4m3fn",
    "c10::Float8_e5m2": "float8_e5m2",
    "c10::Float8_e4m3fnuz": "float8_e4m3fnuz",
    "c10::Float8_e5m2fnuz": "float8_e5m2fnuz",
    "c10::complex<float>": "complex64",
    "c10::complex<double>": "complex128",
}
"""How a trace spells a floating-point type -> how torch does."""
_INTEGER_PRECISIONS: Mapping[str, str] = {"signed char": "int8", "unsigned char": "uint8"}
PRECISION_NAMES: Sequence[str | None] = (None, *PRECISIONS.values(), *_INTEGER_PRECISIONS.values())
"""Everything that `Call.precision` may be."""
_MOST = 2**53
"""Of a tensor's elements, or of the FLOPs of one call, which would take a GPU of today ten seconds and more."""


@dataclass(frozen=True)
class Call:
    """One way in which an operator was called; many calls share it."""

    operator: str
    shapes: list[list[int]]
    """One an argument; empty for what is no tensor, or a list of them, or more elements than there can be."""
    types: list[str]
    values: list[Any]

    @cached_property
    def operator_class(self) -> str:
        return operator_class(self.operator)

    @cached_property
    def computes(self) -> bool:
        """Whether it does arithmetic, as far as its name tells."""
        return computes(self.operator)

    @cached_property
    def flops(self) -> int | None:
        """None where nobody knows, or the shapes make no sense."""
        found = flops(self.operator, self.shapes, self.values)
        return found if type(found) is int and 0 <= found <= _MOST else None

    @cached_property
    def vector_flops(self) -> int | None:
        return vector_flops(self.operator, self.shapes, self.values)

    @cached_property
    def precision(self) -> str | None:
        """Data type of the first floating-point tensor, or of the first tensor of bytes where there is none."""
        for names in (PRECISIONS, _INTEGER_PRECISIONS):
            found = next((names[kind] for kind in self.types if kind in names), None)
            if found is not None:
                return found
        return None


def parse_call(signature: Signature) -> Call:
    """Read a signature; what is missing or odd is empty."""
    return Call(
        operator=signature.name,
        shapes=[_shape(shape) for shape in _list(signature.dims)],
        types=[str(kind) for kind in _list(signature.types)],
        values=[_value(text) for text in _list(signature.concrete)],
    )


def _shape(found: Any) -> list[int]:
    """Lengths of a tensor; empty for anything else, a list of tensors too."""
    if not isinstance(found, list) or {*map(type, found)} - {int}:
        return []
    return found if not found or (min(found) >= 0 and max(found) <= _MOST and prod(found) <= _MOST) else []


def _list(text: bytes) -> list[Any]:
    try:
        decoded = msgspec.json.decode(text) if text else []
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return []
    return decoded if isinstance(decoded, list) else []


def _value(text: Any) -> Any:
    """``"[1, 1]"``, ``"False"`` and ``"2"`` as values; None for ``""`` (a tensor, or nothing given)."""
    if text in ("True", "False"):
        return text == "True"
    try:
        return msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, RecursionError, TypeError, UnicodeDecodeError):
        return None
