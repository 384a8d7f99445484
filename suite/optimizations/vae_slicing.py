"""VAE slicing: decode a batch of latents one element after another, as diffusers offers it (``vae.enable_slicing()``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from suite.optimizations.contract import Handle
from suite.workload import NotApplicableError, Workload


@dataclass(frozen=True)
class VaeSlicing:
    """Trade a longer decode for a peak that no longer grows with the number of images or frames."""

    exact: ClassVar[bool] = True

    def apply(self, workload: Workload) -> Handle:
        decoder: Any = workload.parts.get("decoder")
        if not hasattr(decoder, "use_slicing"):
            kind = type(decoder).__name__ if decoder is not None else "none"
            raise NotApplicableError(f"the decoder ({kind}) does not decode latents in slices")
        num_latents = workload.request.batch_size * (workload.request.num_frames or 1)
        if num_latents == 1:
            raise NotApplicableError("a single latent is decoded: there is nothing to slice (request.batch_size=1)")
        if decoder.use_slicing:
            raise NotApplicableError("the decoder slices already")
        handle = Handle(f"the VAE decodes {num_latents} latents one at a time")
        decoder.enable_slicing()
        handle.on_revert(decoder.disable_slicing)
        return handle
