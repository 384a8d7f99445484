"""Parti: the cache changes what is computed, never which tokens come out; sampling and guidance against their formulas."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from suite.errors import ConfigError


def tokens_of(workload) -> torch.Tensor:  # noqa: ANN001
    with torch.inference_mode():
        return workload.sample_tokens(*workload.encode_text())


def test_the_same_tokens_with_and_without_cache(experiment: Callable) -> None:
    with_cache = experiment("workload=parti").make_workload()
    without = experiment("workload=parti", "workload.scales.smoke.dimensions.kv_cache=false").make_workload()
    tokens_BN = tokens_of(with_cache)
    assert tokens_BN.shape == (1, 64)
    assert tokens_BN.equal(tokens_of(without))
    assert 0 <= tokens_BN.min() <= tokens_BN.max() < 1024
    assert len(tokens_BN.unique()) > 10


def test_without_temperature_the_likeliest_token_is_taken(smoke_workload: Callable) -> None:
    workload = smoke_workload("parti")
    logits_BV = torch.tensor([[0.0, 3.0, 1.0], [2.0, 0.0, 1.0]])
    before, workload.temperature = workload.temperature, 0
    assert workload.draw(logits_BV, torch.Generator()).tolist() == [[1], [0]]
    workload.temperature = before
    assert workload.draw(logits_BV * 1e4, torch.Generator()).tolist() == [[1], [0]]


def test_guidance_is_the_published_formula(smoke_workload: Callable) -> None:
    workload = smoke_workload("parti")
    without_BV, with_BV = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 1.0]])
    scale = workload.request.guidance_scale
    expected = without_BV + scale * (with_BV - without_BV)
    assert workload.guide(torch.cat([without_BV, with_BV])).equal(expected)


def test_a_negative_prompt_is_refused(experiment: Callable) -> None:
    with pytest.raises(ConfigError, match=r"request\.negative_prompt"):
        experiment("workload=parti", "request.negative_prompt=blurry").make_workload()
