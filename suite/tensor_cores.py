"""Whether float32 may be computed in TF32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Tf32:
    """Torch's two settings: ``torch.backends.cuda.matmul.allow_tf32`` and ``torch.backends.cudnn.allow_tf32``."""

    matmul: bool
    """Matrix products: linear layers, and attention that is made of products."""
    cudnn: bool
    """Convolutions."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Tf32:
        """By a record's configuration. Old ones have ``allow_tf32`` for both; one that tells nothing forbids both."""
        device = config.get("device")
        told = device if isinstance(device, Mapping) else {}
        both = told.get("allow_tf32", False)
        return cls(bool(told.get("allow_tf32_matmul", both)), bool(told.get("allow_tf32_cudnn", both)))


NO_TF32 = Tf32(matmul=False, cudnn=False)
ALL_TF32 = Tf32(matmul=True, cudnn=True)


@contextmanager
def allowing_tf32(allowed: Tf32) -> Iterator[None]:
    """Allow or forbid it; afterwards both settings are as they were."""
    import torch

    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = allowed.matmul, allowed.cudnn
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
