"""Weights of models that were never published: a folder of one's own, one safetensors file a part, and a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoTokenizer

from suite.errors import ConfigError
from suite.workload import Weights

TOKENIZER_FOLDER = "tokenizer"


def save_parts(parts: Mapping[str, nn.Module], tokenizer: Any, folder: Path) -> None:
    """Write what `load_parts` reads: ``PART.safetensors`` and ``tokenizer/``."""
    for name, part in parts.items():
        # A weight that two modules share (T5's embedding) is written under each name: files know no sharing.
        state = {key: value.clone().contiguous() for key, value in part.state_dict().items()}
        save_file(state, folder / f"{name}.safetensors")
    tokenizer.save_pretrained(folder / TOKENIZER_FOLDER)


def load_parts(parts: Mapping[str, nn.Module], weights: Weights) -> Any:
    """Fill parts, which are built already, with the weights in the user's folder; returns the tokenizer beside them.

    Raises:
        ConfigError: a part's file or the tokenizer is missing or does not fit.
    """
    folder = Path(weights.path or "").expanduser()
    for name, part in parts.items():
        path = folder / f"{name}.safetensors"
        if not path.is_file():
            raise ConfigError(f"weights.path={weights.path}: the file {path.name} is needed there")
        try:
            part.load_state_dict(load_file(path))
        except (RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ConfigError(f"weights.path={weights.path}: {path.name} does not fit: {reason}") from None
    try:
        return AutoTokenizer.from_pretrained(folder / TOKENIZER_FOLDER)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"weights.path={weights.path}: no tokenizer in {TOKENIZER_FOLDER}/: {reason}") from None
