"""How many slices, along which axis. Knows no torch, so that a configuration can be checked without it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from suite.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePlan:
    """How many slices each kind of work is cut into. One slice means: not at all."""

    frame_slices: int = 1
    """Of spatial work, along the batch or frame axis."""
    pixel_slices: int = 1
    """Of temporal work, along the pixels."""
    token_slices: int = 1
    """Of token transformers: tokens of feed-forwards, queries of attention."""
    smallest_slice: int = 1
    """Elements that a slice of a feature is never cut below: small features are left whole, where slicing frees nothing."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 1:
                raise ConfigError(f"{field.name}={value}: a whole number of at least 1 is needed")

    def affordable(self, count: int, elements: int) -> int:
        """At most `count` slices of a feature of so many elements, each no smaller than `smallest_slice`."""
        return max(1, min(count, elements // self.smallest_slice))


def cuts(length: int, count: int) -> list[tuple[int, int]]:
    """Bounds of at most `count` slices of equal size, the last one smaller where it does not come out even, none empty."""
    size = max(1, -(-length // max(1, count)))
    return [(start, min(start + size, length)) for start in range(0, length, size)]
