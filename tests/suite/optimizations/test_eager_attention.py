"""Attention written out: the fused operator's values, in its tensors' precision, seen as attention wherever it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional

from suite.optimizations.eager_attention import EagerAttention, eager_attention
from suite.simulation.generation import simulate

CASES: dict[str, dict[str, Any]] = {
    "self": {},
    "causal": {"is_causal": True, "keys": 7},
    "cross": {"keys": 11},
    "scaled": {"scale": 0.3},
    "biased": {"attn_mask": torch.randn(2, 1, 7, 7, generator=torch.Generator().manual_seed(1))},
    "masked": {"attn_mask": torch.arange(7)[None, None, None] < torch.tensor([3, 7])[:, None, None, None]},
    "grouped": {"kv_heads": 2, "enable_gqa": True},
}


@pytest.mark.parametrize("case", CASES)
def test_it_computes_what_the_fused_operator_computes(case: str) -> None:
    arguments = dict(CASES[case])
    keys, kv_heads = arguments.pop("keys", 7), arguments.pop("kv_heads", 4)
    random = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(2, heads, length, 8, generator=random, dtype=torch.float64)
        for heads, length in ((4, 7), (kv_heads, keys), (kv_heads, keys))
    )
    if (mask := arguments.get("attn_mask")) is not None and mask.is_floating_point():
        arguments["attn_mask"] = mask.double()
    expected = functional.scaled_dot_product_attention(query, key, value, **arguments)
    torch.testing.assert_close(eager_attention(query, key, value, **arguments), expected)


def test_it_stays_in_the_precision_of_its_tensors() -> None:
    query, key, value = torch.randn(3, 1, 2, 5, 4).to(torch.bfloat16)
    found: list[torch.dtype] = []

    class Seen(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            output = func(*args, **(kwargs or {}))
            found.append(output.dtype)
            return output

    with Seen():
        eager_attention(query, key, value)
    assert set(found) == {torch.bfloat16}


def test_it_is_taken_off_again(smoke_workload: Callable) -> None:
    before = functional.scaled_dot_product_attention
    handle = EagerAttention().apply(smoke_workload("stable_diffusion"))
    assert functional.scaled_dot_product_attention is eager_attention
    handle.revert()
    assert functional.scaled_dot_product_attention is before


def test_in_half_precision_it_is_half_of_what_the_math_kernel_moves(experiment: Callable) -> None:
    """The math kernel computes float16 in float32: scores of four bytes, and what it does to them beside."""
    moved = {}
    for stack in ("eager_attention", "baseline_attention"):
        run = experiment(f"optimization={stack}", "device.precision=float16", "device=cpu")
        workload = run.make_workload(replace(run.placement, device="meta"))
        handle = run.stack[stack].apply(workload)
        rows = simulate(workload, device="cuda").operators.to_pandas()
        handle.revert()
        core = rows[
            (rows["attention_part"] == "core") & (rows["operator"] == "aten::bmm") & (rows["stage"] == "denoise_step")
        ]
        moved[stack] = core[["bytes_read", "bytes_written"]].to_numpy().sum()
        assert core["flops"].sum() > 0
    assert moved["baseline_attention"] == 2 * moved["eager_attention"]
