"""Simulated runs of a GPU with and without weights that travel, and what they say in a few numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from torch import nn

from suite.simulation.generation import simulate
from suite.workload import Workload


def on_gpu(experiment: Callable, *words: str) -> tuple[Any, Workload]:
    """A run and its workload as a simulation of a GPU has it: on the meta device, and told that it is on a GPU."""
    run = experiment(*words, "device.precision=bfloat16")
    workload = run.make_workload(replace(run.placement, device="meta"))
    workload.placement = replace(run.placement, device="cuda")
    return run, workload


def simulated(experiment: Callable, stack: Sequence[Any], *words: str, replaying: bool = True) -> Any:
    """What a simulation of a GPU finds with these optimizations on."""
    _, workload = on_gpu(experiment, *words)
    with ExitStack() as handles:
        for optimization in stack:
            handles.callback(optimization.apply(workload).revert)
        return simulate(workload, device="cuda", replaying=replaying)


def peaks(found: Any) -> dict[str, int]:
    """Allocated bytes by stage."""
    return {row["stage"]: row["allocated_bytes"] for row in found.memory_peaks.to_pylist()}


def copied(found: Any) -> dict[str, int]:
    """Bytes over the link by operator."""
    sums: dict[str, int] = defaultdict(int)
    for row in found.operators.to_pylist():
        if row["operator"].startswith("Memcpy"):
            assert row["bytes_read"] == row["bytes_written"]
            assert (row["flops"], row["vector_flops"], row["operator_class"]) == (0, 0, "data_movement")
            sums[row["operator"]] += row["bytes_read"]
    return dict(sums)


def num_bytes(*modules: nn.Module) -> int:
    """Of weights and buffers, by their shapes."""
    tensors = {id(one): one for module in modules for one in (*module.parameters(), *module.buffers())}
    return sum(one.numel() * one.element_size() for one in tensors.values())


def attributes(model: nn.Module) -> list[set[str]]:
    """Names of what every module of a model holds."""
    return [set(vars(module)) for module in model.modules()]
