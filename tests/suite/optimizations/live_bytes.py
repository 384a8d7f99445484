"""Peak of live tensor bytes of a call, counted apart from the suite's own simulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = function(*args, **(kwargs or {}))
        self._alive = {key: held for key, held in self._alive.items() if not held[0].expired()}
        given = {_storage(leaf)._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        for leaf in tree_leaves(output):
            if isinstance(leaf, torch.Tensor) and _storage(leaf)._cdata not in given:
                self._alive[_storage(leaf)._cdata] = (StorageWeakRef(_storage(leaf)), _storage(leaf).nbytes())
        self.peak = max(self.peak, sum(size for _, size in self._alive.values()))
        return output


def _storage(tensor: torch.Tensor) -> torch.UntypedStorage:
    return tensor.untyped_storage()


def peak_bytes(call: Callable[[], Any]) -> int:
    """Of everything that `call` makes while it runs, as far as operators return it."""
    with torch.inference_mode(), LiveBytes() as live:
        call()
    return live.peak
