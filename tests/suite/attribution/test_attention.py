"""Attention that is spelled out, live: the same product of queries, keys and values, written in the ways that libraries do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from attribution.handmade import HandmadeTrace, only, rows, total
from torch.profiler import ProfilerActivity, profile

from suite.attribution.kineto import Attribution, attribute
from suite.attribution.scopes import AttentionRule, StageScopes, module_scopes
from suite.attribution.trace import read_trace
from suite.stage import stage, watched_by

B, H, Q, K, D = 2, 3, 5, 7, 4
QUERY, KEY, VALUE = torch.randn(B, H, Q, D), torch.randn(B, H, K, D), torch.randn(B, H, K, D)
MASK = torch.zeros(B, 1, Q, K)


def profiled(folder: Path, work: Callable[[], object], module: torch.nn.Module | None = None) -> Attribution:
    parts = {} if module is None else {"denoiser": module}
    rules = [AttentionRule(r"attn$", "cross")]
    with (
        torch.inference_mode(),
        profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler,
        watched_by([StageScopes()]),
        module_scopes(parts, rules),
        stage("generate"),
    ):
        work()
    path = folder / "t.json"
    profiler.export_chrome_trace(str(path))
    return attribute(read_trace(path))


def scaled_scores() -> torch.Tensor:
    scores = torch.matmul(QUERY, KEY.transpose(-1, -2)) * D**-0.5
    scores = scores + MASK
    weights = torch.softmax(scores.float(), dim=-1).to(QUERY.dtype)
    return torch.matmul(torch.nn.functional.dropout(weights, 0.1, training=False), VALUE)


def scaled_query() -> torch.Tensor:
    query = (QUERY * D**-0.5).reshape(B * H, Q, D)
    weights = torch.bmm(query, KEY.reshape(B * H, K, D).transpose(1, 2)).softmax(-1)
    return torch.bmm(weights, VALUE.reshape(B * H, K, D))


def baddbmm() -> torch.Tensor:
    query, key, value = (x.reshape(B * H, -1, D) for x in (QUERY, KEY, VALUE))
    empty = torch.empty(B * H, Q, K)
    scores = torch.baddbmm(empty, query, key.transpose(-1, -2), beta=0, alpha=D**-0.5)
    return torch.bmm(scores.softmax(dim=-1), value)


def einsum() -> torch.Tensor:
    scores = torch.einsum("bhqd,bhkd->bhqk", QUERY, KEY) * D**-0.5
    return torch.einsum("bhqk,bhkd->bhqd", scores.softmax(-1), VALUE)


FLOPS = 4 * B * H * Q * K * D


@pytest.mark.parametrize("work", [scaled_scores, scaled_query, baddbmm, einsum])
def test_every_spelling_is_found(work: Callable[[], torch.Tensor], tmp_path: Path) -> None:
    found = profiled(tmp_path, work)
    call = only(found.attention)
    assert (call["query_length"], call["key_length"], call["head_dim"], call["kernel"]) == (Q, K, D, "eager")
    assert (call["batch"], call["heads"]) in {(B, H), (B * H, None)}
    core = rows(found.operators, attention_part="core")
    assert sum(row["flops"] or 0 for row in core) == FLOPS == total(found.operators, "flops")
    assert {row["operator_class"] for row in core} == {"attention"}
    names = {row["operator"] for row in core}
    assert "aten::_softmax" in names
    assert call["host_s"] == pytest.approx(sum(row["host_self_s"] for row in core))
    outside = {row["operator"] for row in rows(found.operators, attention_part=None)}
    assert not {"aten::bmm", "aten::matmul", "aten::_softmax", "aten::softmax", "aten::mul", "aten::add"} & outside


@pytest.mark.parametrize(
    "work",
    [
        lambda: torch.softmax(torch.randn(B, Q, K), -1),
        lambda: torch.softmax(torch.bmm(torch.randn(B, Q, D), torch.randn(B, D, K)), -1),
        lambda: torch.bmm(torch.softmax(torch.randn(B, Q, K), -1), torch.randn(B, K, D)),
        lambda: torch.bmm(torch.bmm(torch.randn(B, Q, D), torch.randn(B, D, K)), torch.randn(B, K, D)),
        lambda: torch.softmax(torch.randn(9), -1),
    ],
)
def test_a_part_of_it_is_no_attention(work: Callable[[], object], tmp_path: Path) -> None:
    found = profiled(tmp_path, work)
    assert len(found.attention) == 0
    assert rows(found.operators, operator_class="attention") == []


def test_calls_that_follow_each_other_are_told_apart(tmp_path: Path) -> None:
    found = profiled(tmp_path, lambda: [scaled_scores() for _ in range(4)])
    assert len(found.attention) == 4
    assert total(found.operators, "flops") == 4 * FLOPS
    assert rows(found.operators, operator="aten::bmm", attention_part=None) == []


def test_products_of_another_module_are_left_alone(tmp_path: Path) -> None:
    class Attn(torch.nn.Module):
        def forward(self) -> torch.Tensor:
            return torch.bmm(torch.randn(B, Q, D), torch.randn(B, D, K)).softmax(-1)

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn = Attn()

        def forward(self) -> torch.Tensor:
            return torch.bmm(self.attn(), torch.randn(B, K, D))

    model = Model()
    assert len(profiled(tmp_path, model).attention) == 1
    assert len(profiled(tmp_path, model, model).attention) == 0


def test_the_shape_of_packed_sequences_is_not_guessed(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path)
    made.operator("aten::_flash_attention_forward", 0, 9, [90, 4, 64], [90, 4, 64], [90, 4, 64], types="c10::Half")
    made.operator("aten::_flash_attention_forward", 10, 19, [2, 90, 4, 64], [2, 30, 4, 64], [2, 30, 4, 64])
    packed, plain = made.attribute().attention.to_pylist()
    assert (packed["batch"], packed["key_length"], packed["kernel"], packed["precision"]) == (
        None,
        None,
        "flash",
        "float16",
    )
    assert (plain["batch"], plain["heads"], plain["query_length"], plain["key_length"]) == (2, 4, 90, 30)


@pytest.mark.parametrize(
    ("inner", "kernel"),
    [
        ("aten::_scaled_dot_product_efficient_attention", "efficient"),
        ("aten::_scaled_dot_product_cudnn_attention", "cudnn"),
        ("aten::_scaled_dot_product_attention_math", "math"),
        ("aten::clone", None),
    ],
)
def test_the_kernel_is_the_one_that_ran(inner: str, kernel: str | None, tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path).operator("aten::scaled_dot_product_attention", 0, 10, *[[B, H, Q, D]] * 3)
    made.operator("aten::_fused_sdp_choice", 0.5, 1, *[[B, H, Q, D]] * 3).operator(inner, 2, 8, *[[B, H, Q, D]] * 3)
    found = made.attribute()
    assert only(found.attention)["kernel"] == kernel
    assert total(found.operators, "flops") == 4 * B * H * Q * Q * D


def test_device_time_of_a_call_is_that_of_its_core(tmp_path: Path) -> None:
    made = HandmadeTrace(tmp_path)
    made.operator("aten::matmul", 0, 20, [B, Q, D], [B, D, K])
    made.operator("aten::clone", 1, 5, [B, D, K]).launch(2, 3, 1)  # a copy of the keys is no part of the core
    made.operator("aten::bmm", 10, 18, [B, Q, D], [B, D, K]).launch(11, 12, 2)
    made.operator("aten::mul", 21, 25, [B, Q, K]).launch(22, 23, 3)
    made.operator("aten::add", 26, 28, [9, 9]).launch(26.5, 27, 4)  # of another shape
    made.operator("aten::_softmax", 30, 39, [B, Q, K]).launch(31, 32, 5)
    made.operator("aten::bmm", 40, 49, [B, Q, K], [B, K, D]).launch(41, 42, 6)
    for correlation in range(1, 7):
        made.kernel("k", 100 + 100 * correlation, 100 + 101 * correlation, correlation=correlation)
    found = made.attribute()
    call = only(found.attention)
    assert call["device_s"] == pytest.approx((2 + 3 + 5 + 6) * 1e-6)
    assert call["host_s"] == pytest.approx((8 + 4 + 9 + 9 + (20 - 4 - 8)) * 1e-6)
    core = total(found.operators, "device_self_s", lambda row: row["attention_part"] == "core")
    assert core == pytest.approx(call["device_s"])
