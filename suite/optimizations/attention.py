"""Which kernel computes scaled_dot_product_attention: math (the N x N scores lie in memory), flash, efficient or cuDNN.

What a library ships with is torch's own choice among these; an honest baseline has to force the math kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from suite.errors import ConfigError
from suite.optimizations.contract import Handle
from suite.workload import Placement, UnsupportedError, Workload

KERNELS = {
    "math": "MATH",
    "flash": "FLASH_ATTENTION",
    "efficient": "EFFICIENT_ATTENTION",
    "cudnn": "CUDNN_ATTENTION",
}
CPU_KERNELS = ("math", "flash")


@dataclass(frozen=True)
class AttentionKernel:
    """Force the kernel of scaled_dot_product_attention.

    Args:
        kernel: a key of `KERNELS`.
        fallback: kernels for the calls that `kernel` refuses (flash takes no mask on a GPU, for one), in this order. With
            none, such a call is an error. The attention table tells which kernel each call really got.
    """

    kernel: str
    fallback: Sequence[str]
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in (self.kernel, *self.fallback):
            if name not in KERNELS:
                raise ConfigError(f"attention kernel {name}: one of {', '.join(KERNELS)} is accepted")

    def apply(self, workload: Workload) -> Handle:
        from torch.nn.attention import SDPBackend

        from suite.attention_backends import preferring

        self._require(workload.placement)
        order = [getattr(SDPBackend, KERNELS[name]) for name in (self.kernel, *self.fallback)]
        otherwise = f", {', then '.join(self.fallback)} where it refuses a call" if self.fallback else ""
        handle = Handle(f"scaled_dot_product_attention uses the {self.kernel} kernel{otherwise}")
        handle.undo.enter_context(preferring(order))
        return handle

    def _require(self, placement: Placement) -> None:
        """Raises UnsupportedError where torch has no such kernel for the device."""
        from suite.attention_backends import NEWEST, OLDEST, capability_of, exists_on

        if placement.device == "cpu" and self.kernel not in CPU_KERNELS:
            raise UnsupportedError(f"the {self.kernel} attention kernel exists on GPUs only")
        capability = capability_of(placement.compute_capability)
        if capability is not None and not exists_on(self.kernel, capability):
            oldest, newest = (".".join(map(str, end)) for end in (OLDEST[self.kernel], NEWEST))
            raise UnsupportedError(
                f"the {self.kernel} attention kernel is for compute capabilities {oldest} to {newest}, and this GPU's is "
                f"{placement.compute_capability}"
            )
