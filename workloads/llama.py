"""LLaMA 2: the text baseline of the paper, an autoregressive language model (Touvron et al. 2023, arXiv 2307.09288).

Drives transformers' LlamaForCausalLM. The prompt is read at once (``prefill``), which fills the key/value cache and gives the
first new token; every further token is one ``decode_step``.

Shape suffixes: B batch, P prompt tokens, N new tokens so far, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle, islice
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.cache_utils import DynamicCache

from suite.attribution.scopes import AttentionRule
from suite.errors import ConfigError
from suite.stage import DENOISER_FORWARD, mark_calls, stage
from suite.workload import Placement, Request, Weights, Workload
from workloads.random_weights import redraw_zero_weights, seeded_construction
from workloads.requests import refuse
from workloads.sliced_llama import SLICING_RECIPES
from workloads.tokenizer import NOTE, byte_tokenizer


class Llama(Workload):
    """Text to text, one token at a time. The whole model is the part ``denoiser``, the house's word for what runs in steps.

    Args:
        language_model: fields of LlamaConfig.
        prompt_tokens: length that the prompt is repeated or cut to.
        new_tokens: tokens that are generated; an end-of-text token does not stop it, so that the length is what was asked.
        temperature: of sampling; 0 takes the likeliest token.
    """

    family: ClassVar[str] = "language"
    media: ClassVar[str] = "text"
    attention_rules: ClassVar = (AttentionRule(r"^denoiser\..*\.(self_attn|attn|attention)$", "causal"),)
    slicing_recipes: ClassVar = SLICING_RECIPES

    def __init__(
        self,
        language_model: Mapping[str, Any],
        prompt_tokens: int,
        new_tokens: int,
        temperature: float,
        *,
        request: Request,
        weights: Weights,
        placement: Placement,
    ) -> None:
        visual = ("height", "width", "num_frames", "num_inference_steps", "guidance_scale", "negative_prompt")
        refuse(request, "llama", *visual)
        self.request = request
        self.placement = placement
        self.prompt_tokens = prompt_tokens
        self.new_tokens = new_tokens
        self.temperature = temperature
        if weights.pretrained:
            self.tokenizer, model = _load(weights, placement)
        else:
            self.tokenizer = byte_tokenizer(prompt_tokens)
            model = _build(language_model, placement, weights.seed)
            self.notes = (NOTE,)
        _require_context(model.config, prompt_tokens, new_tokens)
        self.prompt_ids = self._prompt_ids()
        self.parts = {"denoiser": model.eval()}
        mark_calls(model, DENOISER_FORWARD)

    def _prompt_ids(self) -> list[int]:
        """The prompt, said again and again until it is `prompt_tokens` long, after the start token if there is one."""
        said = self.tokenizer(self.request.prompt, add_special_tokens=False)["input_ids"]
        if not said:
            raise ConfigError(f"request.prompt={self.request.prompt!r}: llama needs a prompt of at least one token")
        start = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        return list(islice((*start, *islice(cycle(said), self.prompt_tokens)), self.prompt_tokens))

    @torch.inference_mode()
    def generate(self) -> Tensor:
        """New token ids ``[B, N]``."""
        device = self.placement.device
        generator = torch.Generator(device).manual_seed(self.request.seed)
        prompt_BP = torch.tensor([self.prompt_ids] * self.request.batch_size, device=device)
        cache = DynamicCache()

        with stage("prefill"):
            tokens_BN = self.draw(self.next_logits(prompt_BP, cache), generator)
        for _ in range(self.new_tokens - 1):
            with stage("decode_step"):
                logits_BV = self.next_logits(tokens_BN[:, -1:], cache)
                tokens_BN = torch.cat([tokens_BN, self.draw(logits_BV, generator)], dim=1)
        return tokens_BN

    def next_logits(self, unseen: Tensor, cache: DynamicCache) -> Tensor:
        """Logits ``[B, V]`` of the token after `unseen` tokens ``[B, 1 or P]``, which the cache then holds, too."""
        model = self.parts["denoiser"]
        return model(input_ids=unseen, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]

    def draw(self, logits_BV: Tensor, generator: torch.Generator) -> Tensor:
        """One token ``[B, 1]`` a text."""
        if self.temperature == 0:
            return logits_BV.argmax(dim=-1, keepdim=True)
        probabilities_BV = (logits_BV.float() / self.temperature).softmax(dim=-1)
        return torch.multinomial(probabilities_BV, 1, generator=generator)

    def save(self, output: Tensor, folder: Path) -> list[Path]:
        """One UTF-8 file a text: ``text_0.txt``, ... with the prompt as asked, a new line, and what was generated."""
        paths = []
        for index, tokens_N in enumerate(output):
            path = folder / f"text_{index}.txt"
            path.write_text(f"{self.request.prompt}\n{self.tokenizer.decode(tokens_N)}\n", encoding="utf-8")
            paths.append(path)
        return paths


def _build(language_model: Mapping[str, Any], placement: Placement, seed: int) -> Any:
    with seeded_construction(placement, seed):
        model = LlamaForCausalLM(LlamaConfig(**language_model))
        redraw_zero_weights(model)
    return model


def _load(weights: Weights, placement: Placement) -> tuple[Any, Any]:
    """Any causal language model of transformers, with its own tokenizer."""
    local = Path(weights.path or "").expanduser()
    path = str(local) if local.exists() else weights.path
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
        model = AutoModelForCausalLM.from_pretrained(path, dtype=placement.dtype)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"weights.path={weights.path}: cannot be loaded as a language model: {reason}") from None
    return tokenizer, model.to(placement.device)


def _require_context(config: Any, prompt_tokens: int, new_tokens: int) -> None:
    longest = config.max_position_embeddings
    if prompt_tokens < 1 or new_tokens < 1 or prompt_tokens + new_tokens > longest:
        asked = f"prompt_tokens={prompt_tokens} and new_tokens={new_tokens}"
        raise ConfigError(f"{asked}: at least 1 each and together at most the model's {longest} positions are needed")
