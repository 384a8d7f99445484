"""MaskGIT: all tokens of a grid are predicted at once, the surest are kept, and the rest is asked for again.

Chang et al. 2022 (arXiv 2202.04200); Muse and Phenaki condition it on text by cross attention.

Shape suffixes: B batch, N tokens of the grid, V codebook entries, T text tokens, E their width, S tokens attended to, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import cos, floor, pi, prod

import torch
from torch import Tensor, nn

from suite.errors import ConfigError
from workloads.requests import guide
from workloads.transformer import GridPositions, TransformerBlock


class MaskedTransformer(nn.Module):
    """Predicts every token of a grid from those that are known, and from text.

    Args:
        grid: shape of the grid of tokens, outermost axis first.
        codebook_size: entries a token may be; one more stands for a token that is not known.
        text_width: of the encoded text.
        width, mlp_width, num_layers, num_heads: of the blocks.
    """

    def __init__(
        self,
        grid: Sequence[int],
        *,
        codebook_size: int,
        text_width: int,
        width: int,
        mlp_width: int,
        num_layers: int,
        num_heads: int,
    ) -> None:
        super().__init__()
        self.num_tokens = prod(grid)
        self.mask = codebook_size
        self.embed = nn.Embedding(codebook_size + 1, width)
        self.positions = GridPositions(grid, width)
        self.project_text = nn.Linear(text_width, width)
        self.blocks = nn.ModuleList(
            TransformerBlock(width, mlp_width, num_heads, crosses=True) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, codebook_size)

    def forward(self, tokens_BN: Tensor, text_BTE: Tensor, beside_BSD: Tensor | None = None) -> Tensor:
        """Logits ``[B, N, V]``; `beside` is attended to beside the text."""
        context_BSD = self.project_text(text_BTE)
        if beside_BSD is not None:
            context_BSD = torch.cat([context_BSD, beside_BSD], dim=1)
        x_BND = self.embed(tokens_BN) + self.positions()
        for block in self.blocks:
            x_BND = block(x_BND, context_BSD)
        return self.head(self.norm(x_BND))


def cosine_schedule(num_tokens: int, num_steps: int) -> list[int]:
    """How many tokens become known in each step: few at first, many at last, at least one, and all of them together.

    After a share r of the steps, a share cos(pi r / 2) of the tokens is still masked.
    """
    if num_steps > num_tokens:
        raise ConfigError(f"{num_steps} steps: there are only {num_tokens} tokens, and each step makes one known")
    masked, schedule = num_tokens, []
    for step in range(1, num_steps + 1):
        wanted = floor(num_tokens * cos(pi / 2 * step / num_steps) + 1e-9)
        still_masked = max(min(wanted, masked - 1), num_steps - step)
        schedule.append(masked - still_masked)
        masked = still_masked
    return schedule


def fill(
    predict: Callable[[Tensor], Tensor],
    tokens_BN: Tensor,
    mask: int,
    schedule: Sequence[int],
    guidance: Sequence[float] | None,
    temperature: float,
    generator: torch.Generator,
    around: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Tensor:
    """Turn a grid of masks into tokens, a step an entry of `schedule`.

    Args:
        predict: tokens ``[B, N]`` to logits ``[B, N, V]``; with guidance it gets and gives twice the batch.
        tokens_BN: masked throughout.
        guidance: the scale of classifier-free guidance in each step; None for a single forward a step.
        temperature: of the noise on sureness before the first step; it falls to 0 linearly.
        around: opened around each step.

    Returns:
        ``[B, N]``, with no mask left.
    """
    for step, num_kept in enumerate(schedule):
        with around():
            doubled_BN = tokens_BN if guidance is None else tokens_BN.repeat(2, 1)
            logits_BNV = predict(doubled_BN)
            if guidance is not None:
                logits_BNV = guide(logits_BNV, guidance[step])
            noise = temperature * (1 - (step + 1) / len(schedule))
            tokens_BN = keep_surest(tokens_BN, logits_BNV, num_kept, mask, noise, generator)
    return tokens_BN


def keep_surest(
    tokens_BN: Tensor, logits_BNV: Tensor, num_kept: int, mask: int, temperature: float, generator: torch.Generator
) -> Tensor:
    """Draw every token, and write down those masked ones that the model is surest of.

    Args:
        num_kept: masked tokens an element of the batch that become known.
        mask: the token that stands for one not known.
        temperature: of the Gumbel noise on sureness; 0 keeps exactly the likeliest draws.
        generator: of draws and noise.

    Returns:
        ``[B, N]``.
    """
    log_probabilities_BNV = logits_BNV.float().log_softmax(dim=-1)
    drawn = torch.multinomial(log_probabilities_BNV.exp().flatten(0, 1), 1, generator=generator)
    drawn_BN = drawn.view_as(tokens_BN)
    sureness_BN = log_probabilities_BNV.gather(-1, drawn_BN[..., None])[..., 0]
    noise_BN = torch.empty_like(sureness_BN).exponential_(generator=generator).log().neg()
    sureness_BN = (sureness_BN + temperature * noise_BN).masked_fill(tokens_BN != mask, -torch.inf)
    surest_BK = sureness_BN.topk(num_kept, dim=-1).indices
    return tokens_BN.scatter(-1, surest_BK, drawn_BN.gather(-1, surest_BK))
