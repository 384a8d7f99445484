"""Requests as transformers take them: what they refuse, and the prompts and arithmetic of classifier-free guidance."""

from __future__ import annotations

from torch import Tensor

from suite.errors import ConfigError
from suite.workload import Request


def refuse(request: Request, workload: str, *keys: str) -> None:
    """Raise `ConfigError` where a key is set that means nothing to a workload: a record must not show it as if it did."""
    for key in keys:
        value = getattr(request, key)
        if value is not None:
            raise ConfigError(f"request.{key}={value}: {workload} knows no {key} (null is accepted)")


def guided_prompts(request: Request) -> list[str]:
    """The prompts of one batch; under guidance the negative (or empty) prompts come first."""
    prompts = [request.prompt] * request.batch_size
    if not request.guided:
        return prompts
    return [request.negative_prompt or ""] * request.batch_size + prompts


def guide(predicted: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598) on ``[2 B, ...]``, unconditional half first.

    Returns:
        ``[B, ...]``: the unconditional prediction, pushed `scale` times as far as the prompt pushes it.
    """
    without, with_prompt = predicted.chunk(2)
    return without + scale * (with_prompt - without)
