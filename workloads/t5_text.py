"""Text as Imagen, Muse and Phenaki condition on it: hidden states of a T5 encoder (Raffel et al. 2020, arXiv 1910.10683)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def encode_text(
    encoder: nn.Module, tokenizer: Any, prompts: Sequence[str], max_tokens: int, device: str
) -> tuple[Tensor, Tensor]:
    """Hidden states ``[B, T, E]`` and the mask ``[B, T]`` of real tokens; all prompts are padded or cut to `max_tokens`."""
    batch = tokenizer(
        list(prompts), padding="max_length", truncation=True, max_length=max_tokens, return_tensors="pt"
    ).to(torch.device(device))
    mask_BT = batch["attention_mask"]
    return encoder(input_ids=batch["input_ids"], attention_mask=mask_BT).last_hidden_state, mask_BT
