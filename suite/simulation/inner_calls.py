"""Calls inside a part that need not be simulated again.

    a module's call inside a sealed one --> known by module, scope and shapes --> the next like it is repeated: its rows, its
    attention calls, its allocations and frees, and outputs on storages of their own

Slices are why: what runs slice by slice is called with the same shapes over and over. Repeated are calls that can do nothing
but compute: of modules that run their class's code or a recipe's, and that left no attribute changed, freed nothing that was
there before and kept nothing. What is known is forgotten when the sealed call ends.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import is_
from types import FunctionType
from typing import Any, NamedTuple
from weakref import ref

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from suite.simulation.fakes import Description, described, made, new_storage, storage_of, tell, unseen
from suite.simulation.memory_events import Excerpt
from suite.simulation.observer import Observer
from suite.simulation.tally import Spell, Tally
from suite.slicing.recipe import computes_by_own_code
from suite.slicing.sliced import inside_slice

Key = tuple[Hashable, ...]


class _Known(NamedTuple):
    """What a call did."""

    spell: Spell
    excerpt: Excerpt
    returned: tuple[Description, ...]
    """Their storages are the blocks that outlive the call."""
    is_tuple: bool


@dataclass
class InnerCalls:
    """Runs module calls inside a sealed one, or repeats what a call like it did.

    Args:
        mode: of the fake tensors.
        observer: that counts.
    """

    mode: FakeTensorMode
    observer: Observer
    _known: dict[Key, _Known | None] = field(default_factory=dict)
    """None: to be simulated every time."""

    def forget(self) -> None:
        """Forget everything: another sealed call may find other settings in the modules."""
        self._known.clear()

    def __call__(self, plain_call: Callable[..., Any], module: nn.Module, args: Any, kwargs: Any) -> Any:
        """``plain_call(module, *args, **kwargs)``, simulated or repeated."""
        key = self._key(module, args, kwargs)
        known = self._known.get(key) if key is not None else None
        if known is not None:
            return self._repeat(known)
        if key is None or key in self._known or not is_plain(module, self.observer):
            return plain_call(module, *args, **kwargs)
        return self._first(key, plain_call, module, args, kwargs)

    def _key(self, module: nn.Module, args: Any, kwargs: Any) -> Key | None:
        """What a call is known by; None where arguments are of kinds that do not tell."""
        if any(isinstance(value, list) for value in (*args, *kwargs.values())):  # it may put something in
            return None
        told: list[Hashable] = [id(module), *self.observer.scope, inside_slice(), *kwargs]
        with torch._C.DisableTorchFunction():  # to ask for shapes is no work of the model's
            return tuple(told) if tell(args, told, []) and tell(kwargs.values(), told, []) else None

    def _first(self, key: Key, plain_call: Callable[..., Any], module: nn.Module, args: Any, kwargs: Any) -> Any:
        """Simulate a call, and keep what it did if that is all that it did."""
        before, mark = _attributes(module), self.observer.memory.mark()
        with self._counted_apart() as spells:
            output = plain_call(module, *args, **kwargs)
        tensors = output if type(output) is tuple else (output,)
        excerpt = self.observer.memory.since(mark)
        self._known[key] = None
        if excerpt is None or not all(isinstance(tensor, FakeTensor) for tensor in tensors):
            return output
        if {storage_of(one) for one in tensors} == set(excerpt.held_by) and _same(before, _attributes(module)):
            self._known[key] = _Known(spells[0], excerpt, described(tensors, excerpt.held_by), type(output) is tuple)
        return output

    @contextmanager
    def _counted_apart(self) -> Iterator[list[Spell]]:
        """What runs in this block is counted as always and is, when the block ends, in the list by itself."""
        whole, part, found = self.observer.tally, Tally(), []
        self.observer.tally = part
        try:
            yield found
        finally:
            if self.observer.tally is not part:
                raise RuntimeError("a stage began inside a module that was taken to have none")
            found.append(part.freeze())
            self.observer.tally = whole
            whole.repeat(found[0])

    def _repeat(self, known: _Known) -> Any:
        memory = self.observer.memory
        self.observer.tally.repeat(known.spell)
        first = memory.repeat(known.excerpt)
        with unseen():
            storages = {block: new_storage(size) for block, size in known.excerpt.held.items()}
            tensors = [made(one, storages[one.storage], self.mode) for one in known.returned]
        for block, storage in storages.items():
            memory.hold_block(storage, first + block)
        return tuple(tensors) if known.is_tuple else tensors[0]


def is_plain(module: nn.Module, observer: Observer) -> bool:
    """Whether module and submodules compute by their classes' code or a recipe's, watched by nobody but the observer."""
    return all(
        computes_by_own_code(one)
        and all(map(observer.owns, (*one._forward_hooks.values(), *one._forward_pre_hooks.values())))
        for one in module.modules()
    )


def _attributes(module: nn.Module) -> list[tuple[dict[str, Any], list[Any]]]:
    """Every attribute of module and submodules, of what they hold that is no module, and the entries of their dictionaries.

    Tensors by weak reference, of which there is one a tensor: a cache that the call replaces must be free to go.
    """
    own = [vars(one) for one in module.modules()]
    inside = [value for held in own for value in held.values() if isinstance(value, dict)]
    others = [vars(value) for held in own for value in held.values() if _has_attributes(value)]
    return [(held, [*held, *map(_weakly, held.values())]) for held in (*own, *inside, *others)]


def _weakly(value: Any) -> Any:
    return ref(value) if isinstance(value, torch.Tensor) else value


def _has_attributes(value: Any) -> bool:
    return hasattr(value, "__dict__") and not isinstance(value, nn.Module | torch.Tensor | type | FunctionType)


def _same(before: list[tuple[dict[str, Any], list[Any]]], after: list[tuple[dict[str, Any], list[Any]]]) -> bool:
    return len(before) == len(after) and all(
        len(old) == len(new) and all(map(is_, old, new)) for (_, old), (_, new) in zip(before, after, strict=True)
    )
