"""Masked decoding: the cosine schedule, which tokens are kept, and the size of the transformer as a closed form."""

from __future__ import annotations

from math import cos, pi

import pytest
import torch

from suite.errors import ConfigError
from workloads.maskgit import MaskedTransformer, cosine_schedule, fill, keep_surest


@pytest.mark.parametrize(("num_tokens", "num_steps"), [(256, 24), (4096, 8), (1536, 48), (16, 16), (7, 1), (1, 1)])
def test_every_token_becomes_known_in_some_step(num_tokens: int, num_steps: int) -> None:
    schedule = cosine_schedule(num_tokens, num_steps)
    assert len(schedule) == num_steps
    assert sum(schedule) == num_tokens
    assert min(schedule) >= 1


def test_the_share_still_masked_follows_the_cosine() -> None:
    known = torch.tensor(cosine_schedule(4096, 8)).cumsum(0)
    for step, num_known in enumerate(known.tolist(), start=1):
        assert 1 - num_known / 4096 == pytest.approx(cos(pi / 2 * step / 8), abs=1 / 4096)


def test_more_steps_than_tokens_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="only 4 tokens"):
        cosine_schedule(4, 5)


def test_the_surest_masked_tokens_are_kept_and_known_ones_stay() -> None:
    mask = 3
    tokens_BN = torch.tensor([[mask, 2, mask, mask]])
    sureness = torch.tensor([[2.0, 99.0, 50.0, 30.0]])  # position 1 is surest, and known already
    logits_BNV = torch.zeros(1, 4, 3)
    logits_BNV[..., 1] = sureness
    kept_BN = keep_surest(tokens_BN, logits_BNV, 2, mask, temperature=0.0, generator=torch.Generator().manual_seed(0))
    assert kept_BN.tolist() == [[mask, 2, 1, 1]]


def test_noise_lets_less_sure_tokens_through() -> None:
    tokens_BN, logits_BNV = torch.full((1, 64), 9), torch.randn(1, 64, 9, generator=torch.Generator().manual_seed(1))
    kept = [
        keep_surest(tokens_BN, logits_BNV, 8, 9, temperature, torch.Generator().manual_seed(0)) != 9
        for temperature in (0.0, 100.0)
    ]
    assert not kept[0].equal(kept[1])
    assert kept[0].sum() == kept[1].sum() == 8


def test_filling_leaves_no_mask_and_asks_twice_the_batch_under_guidance() -> None:
    asked = []

    def predict(tokens_BN: torch.Tensor) -> torch.Tensor:
        asked.append((tokens_BN == 5).sum(dim=1).tolist())
        return torch.nn.functional.one_hot(torch.full_like(tokens_BN, 2), 5) * 1e3

    schedule = cosine_schedule(12, 4)
    filled_BN = fill(
        predict, torch.full((1, 12), 5), 5, schedule, [2.0] * 4, temperature=1.0, generator=torch.Generator()
    )
    assert filled_BN.tolist() == [[2] * 12]
    masked = [12 - sum(schedule[:step]) for step in range(4)]
    assert asked == [[count, count] for count in masked]


def test_the_transformers_size_is_the_closed_form() -> None:
    width, mlp, layers, codebook, text, grid = 64, 160, 3, 50, 24, (4, 5)
    model = MaskedTransformer(
        grid, codebook_size=codebook, text_width=text, width=width, mlp_width=mlp, num_layers=layers, num_heads=4
    )
    a_layer = 8 * width**2 + 2 * width * mlp + mlp + width + 3 * 2 * width
    embeddings = (codebook + 1 + sum(grid)) * width + (text + 1) * width
    expected = layers * a_layer + embeddings + 2 * width + (width + 1) * codebook
    assert sum(weight.numel() for weight in model.parameters()) == expected
    assert model(torch.zeros(2, 20, dtype=torch.long), torch.randn(2, 7, text)).shape == (2, 20, codebook)
