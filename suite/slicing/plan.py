"""How many slices, along which axis. Knows no torch, so that a configuration can be checked without it."""

from __future__ import annotations

from dataclasses import dataclass

from suite.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePlan:
    """How many slices each kind of work is cut into. One slice means: not at all."""

    batch_slices: int = 1
    """Of a whole denoiser, along the batch: guidance's two halves, or several images or videos at once."""
    frame_slices: int = 1
    """Of spatial work, along frames (of all videos of the batch) or images."""
    pixel_slices: int = 1
    """Of temporal work, along the pixels."""
    token_slices: int = 1
    """Of token transformers: tokens of feed-forwards, queries of attention."""
    smallest_slice: int = 1
    """Elements that a slice of a feature is never cut below: small features are left whole, where slicing frees nothing."""

    recompute: bool = False
    """Whether a pass computes again, slice by slice, what an earlier pass computed, instead of keeping it whole."""

    def __post_init__(self) -> None:
        for key in ("batch_slices", "frame_slices", "pixel_slices", "token_slices", "smallest_slice"):
            value = getattr(self, key)
            if value < 1:
                raise ConfigError(f"{key}={value}: a whole number of at least 1 is needed")

    def affordable(self, count: int, elements: int) -> int:
        """At most `count` slices of a feature of so many elements, each no smaller than `smallest_slice`."""
        return max(1, min(count, elements // self.smallest_slice))

    def told(self) -> str:
        """Which features are cut at all, in a few words; nothing where all are."""
        return f" (features of {2 * self.smallest_slice:,} elements or more)" if self.smallest_slice > 1 else ""


def cuts(length: int, count: int) -> list[tuple[int, int]]:
    """Bounds of at most `count` slices of equal size, the last one smaller where it does not come out even, none empty."""
    size = max(1, -(-length // max(1, count)))
    return [(start, min(start + size, length)) for start in range(0, length, size)]
