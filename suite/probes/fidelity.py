"""Fidelity: how far the stack's output is from the workload's out of the box, from the same seed.

Metrics, for the arm ``stack`` and the stage ``generate``:

- ``max_relative_error``: what exact optimizations are held to; 0 says that outputs are identical.
- ``relative_l2_error``, ``psnr_db``, ``ssim``: what approximate ones are judged by. Identical outputs have an infinite
  ``psnr_db``, which is left out; so is ``ssim`` of images smaller than its window.
- ``latent_relative_error``: relative L2 error of what the decoder gets, where that is latents of the same number.
- ``token_agreement``: of text, the share of tokens that are the same; none of the others.
- ``lpips``: where it is asked for, and its package and weights are there; see `suite.probes.perceptual`.

What is not finite, as of an output that is not a number anywhere, is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from suite.errors import ConfigError
from suite.probes.contract import Observation
from suite.probes.perceptual import NETWORKS, perceptual_distance
from suite.record import Sample
from suite.subject import OUT_OF_THE_BOX, STACK, Subject
from suite.workload import Workload

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Fidelity:
    """One generation of the workload out of the box and one of the stack; nothing where the stack is empty.

    Args:
        lpips: the network whose features LPIPS compares (``alex``, ``vgg``, ``squeeze``); None: no LPIPS.
    """

    lpips: str | None = None

    def __post_init__(self) -> None:
        if self.lpips is not None and self.lpips not in NETWORKS:
            raise ConfigError(f"probe.fidelity.lpips={self.lpips}: {', '.join(NETWORKS)} or null is accepted")

    def observe(self, subject: Subject) -> Observation:
        if OUT_OF_THE_BOX not in subject.arms:
            return Observation()
        distance = None
        if self.lpips is not None and subject.workload.media != "text":
            distance = perceptual_distance(self.lpips)  # before anything is generated: it may be missing
        subject.say("fidelity, one generation with and one without the stack")
        expected, expected_latents = _generated(subject, OUT_OF_THE_BOX)
        output, latents = _generated(subject, STACK)
        found = compare(output, expected, subject.workload.media)
        if distance is not None and output.shape == expected.shape:
            found["lpips"] = distance(output, expected)
        if latents is not None and expected_latents is not None and latents.numel() == expected_latents.numel():
            from suite.fidelity import relative_l2_error

            found["latent_relative_error"] = relative_l2_error(latents, expected_latents)
        return Observation(samples=[Sample(metric=name, value=value, arm=STACK) for name, value in found.items()])


def compare(output: Tensor, expected: Tensor, media: str) -> dict[str, float]:
    """Metrics by name; those that are not defined or not finite are left out, all of them where shapes differ."""
    from suite import fidelity

    if output.shape != expected.shape:
        return {}
    if media == "text":
        return {"token_agreement": (output == expected).double().mean().item()}
    found = {
        "max_relative_error": fidelity.max_relative_error(output, expected),
        "relative_l2_error": fidelity.relative_l2_error(output, expected),
        "psnr_db": fidelity.psnr_db(output, expected),
        "ssim": fidelity.ssim(output, expected),
    }
    return {name: value for name, value in found.items() if value is not None and isfinite(value)}


def _generated(subject: Subject, arm: str) -> tuple[Tensor, Tensor | None]:
    """The arm's output, and the latents that its decoder got, if it has any."""
    with subject.configured(arm), decoded_latents(subject.workload) as seen:
        subject.generate()
    import torch

    # Some pipelines decode in chunks of frames, some optimizations in others: all of them, one after another.
    latents = torch.cat([latent.flatten() for latent in seen]) if seen else None
    return subject.last_output, latents


@contextmanager
def decoded_latents(workload: Workload) -> Iterator[list[Tensor]]:
    """While this block runs, latents that are given to the decoder are noted, in order."""
    seen: list[Tensor] = []
    decoder: Any = workload.parts.get("decoder")
    if not hasattr(decoder, "decode"):
        yield seen
        return
    decode, own = decoder.decode, "decode" in vars(decoder)

    def noting(latents: Tensor, *args: Any, **kwargs: Any) -> Any:
        if latents.is_floating_point():
            seen.append(latents.detach().clone())
        return decode(latents, *args, **kwargs)

    decoder.decode = noting
    try:
        yield seen
    finally:
        if own:
            decoder.decode = decode
        else:
            del decoder.decode
