"""What tests of several workloads share: parameters without memory, and what scaled_dot_product_attention is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode


@pytest.fixture(scope="session")
def meta_workload(experiment: Callable) -> Callable:
    """A workload of published size by name, without memory for its weights."""

    @cache
    def build(name: str, scale: str = "paper") -> Any:
        planned = experiment(f"workload={name}", f"scale={scale}")
        return planned.make_workload(replace(planned.placement, device="meta"))

    return build


class AttentionCalls(TorchFunctionMode):
    """Every scaled dot product: its kind by the workload's rules, its batch, and how many queries and keys it has."""

    def __init__(self, workload: Any) -> None:
        super().__init__()
        self.found: list[tuple[str | None, int, int, int]] = []
        self._kinds: list[str] = []
        for part, module in workload.parts.items():
            for path, inner in module.named_modules():
                rules = [rule.kind for rule in workload.attention_rules if re.search(rule.pattern, f"{part}.{path}")]
                if rules:
                    inner.register_forward_pre_hook(lambda *_, kind=rules[0]: self._kinds.append(kind))
                    inner.register_forward_hook(lambda *_: self._kinds.pop() and None)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.scaled_dot_product_attention:
            query, key = [*args, *(kwargs or {}).values()][:2]
            kind = self._kinds[-1] if self._kinds else None
            self.found.append((kind, query.shape[0], query.shape[-2], key.shape[-2]))
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="session")
def attention_calls(experiment: Callable) -> Callable:
    """One smoke generation's attention calls, in order: ``[(kind, batch, query_length, key_length), ...]``."""

    @cache
    def calls(name: str, *overrides: str) -> list[tuple[str | None, int, int, int]]:
        workload = experiment(f"workload={name}", *overrides).make_workload()
        with AttentionCalls(workload) as watched, torch.inference_mode():
            workload.generate()
        return watched.found

    return calls


@pytest.fixture(scope="session")
def num_parameters() -> Callable:
    return lambda module: sum(weight.numel() for weight in module.parameters())
