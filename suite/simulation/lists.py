"""Lists among a call's arguments: a module may keep things in them from call to call, as causal video decoders do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._pytree import tree_map

Outline = tuple[tuple[Any, ...], ...]
"""What a list holds: shape and type in place of a tensor, anything else as it is."""


def lists_in(arguments: tuple[Sequence[Any], dict[str, Any]]) -> list[list[Any]]:
    """Positional and keyword arguments that are lists."""
    args, kwargs = arguments
    return [value for value in (*args, *kwargs.values()) if isinstance(value, list)]


def exchange(items: list[Any], to_fake: Callable[[Any], Any]) -> Callable[[], None]:
    """Put fake entries into a list in place of real ones, so that a call can change the list itself.

    Returns:
        what puts the real ones back where the call left the fake ones alone. It holds no entry that was fake before: a
        cache that the call replaces must be free to go.
    """
    pairs = {
        index: (tree_map(to_fake, entry), entry)
        for index, entry in enumerate(items)
        if not isinstance(entry, FakeTensor)
    }
    for index, (fake, _) in pairs.items():
        items[index] = fake

    def put_back() -> None:
        for index, (fake, real) in pairs.items():
            if index < len(items) and items[index] is fake:
                items[index] = real

    return put_back


def outline(items: Sequence[Any]) -> Outline:
    """See `Outline`."""
    return tuple((entry.shape, entry.dtype) if isinstance(entry, torch.Tensor) else (entry,) for entry in items)


def changed_outline(before: Outline, items: Sequence[Any]) -> Outline | None:
    """What a call left in a list; None where it changed nothing. Fake entries are what a call has put there."""
    after = outline(items)
    return after if after != before or any(isinstance(entry, FakeTensor) for entry in items) else None


def refill(
    given: Sequence[list[Any]], known: Sequence[Outline | None], make: Callable[..., torch.Tensor]
) -> Iterator[torch.Tensor]:
    """Leave in the lists what a call like this one left there; gives the tensors that `make` made for that."""
    for items, entries in zip(given, known, strict=True):
        if entries is None:
            continue
        items[:] = [make(*entry) if len(entry) == 2 else entry[0] for entry in entries]
        yield from (item for item in items if isinstance(item, torch.Tensor))
