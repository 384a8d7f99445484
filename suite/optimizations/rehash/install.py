"""Put reuse between steps on a workload: what step_rehash and deepcache share."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from suite.optimizations.rehash.chain import cut_transformer, cut_unet_layers, transformer_blocks
from suite.optimizations.rehash.denoiser import ReusingDenoiser, denoisers
from suite.optimizations.rehash.schedules import Schedule
from suite.optimizations.rehash.unet import cut_unet, is_unet
from suite.stage import watched_by
from suite.workload import LAYERS_IN_ORDER, NotApplicableError, Workload


def reuse_between_steps(workload: Workload, reuse: str, schedule: Schedule, undo: ExitStack) -> str:
    """Let steps that the schedule does not call full reuse features; says which.

    Args:
        reuse: ``rehash``, ``recursion`` or ``last_layer``, see `suite.optimizations.step_rehash`.
        undo: what is put on is taken off when this closes; also when it cannot be put on.

    Raises:
        NotApplicableError: the denoiser has no part that could be reused.
    """
    require_reusable(workload)
    with ExitStack() as installed:
        said: list[str] = []
        for module in denoisers(workload):
            denoiser = ReusingDenoiser(module, workload, schedule)
            said.append(_cut(module, reuse, denoiser, installed))
            denoiser.install(installed)
            installed.enter_context(watched_by([denoiser]))
        undo.push(installed.pop_all())
    return " and ".join(dict.fromkeys(said))


def require_reusable(workload: Workload) -> None:
    """Raise `NotApplicableError` for a workload whose steps share nothing."""
    if workload.family in ("transformer_autoregressive", "language"):
        raise NotApplicableError(
            "each step continues from a token that the step before has drawn: there is no earlier result"
        )


def require_unet(workload: Workload) -> None:
    """Raise `NotApplicableError` for a denoiser without the skips that a U-Net has."""
    for module in denoisers(workload):
        if not is_unet(module) and not hasattr(module, LAYERS_IN_ORDER):
            raise NotApplicableError(f"the denoiser ({type(module).__name__}) is no U-Net")


def _cut(module: Any, reuse: str, denoiser: ReusingDenoiser, undo: ExitStack) -> str:
    if is_unet(module):
        return cut_unet(module, reuse, denoiser, undo)
    if hasattr(module, LAYERS_IN_ORDER):
        return cut_unet_layers(module, reuse, denoiser, undo)
    blocks = transformer_blocks(module)
    if blocks:
        return cut_transformer(blocks, reuse, denoiser, undo)
    raise NotApplicableError(
        f"the denoiser ({type(module).__name__}) is neither a U-Net nor a list of transformer blocks"
    )
