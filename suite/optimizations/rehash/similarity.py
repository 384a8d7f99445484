"""How similar what a module gives in one step of a generation is to what it gives in another.

Features of all steps would fill a machine's memory (180 MiB a step for AnimateDiff at 576 x 1024), so each is kept as a sketch:
signs drawn once are multiplied in and the result is folded to `SKETCH_SIZE` sums (a count sketch; Charikar et al. 2002). Inner
products survive in expectation, and the cosine s of two sketches is off by about (1 - s^2) / sqrt(SKETCH_SIZE) (one standard
deviation): 0.001 at s = 0.97, 0.016 where there is no similarity. Features no longer than a sketch are kept exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from suite.optimizations.rehash.calls import joined
from suite.optimizations.rehash.chain import transformer_blocks
from suite.optimizations.rehash.denoiser import denoisers
from suite.optimizations.rehash.unet import is_unet, reuse_point
from suite.stage import STEP_STAGES, stage, watched_by
from suite.workload import LAYERS_IN_ORDER, NotApplicableError, Workload

SKETCH_SIZE = 4096
SEED = 0


def sketch(features: Tensor) -> Tensor:
    """``[SKETCH_SIZE]`` on the CPU in double precision; the same signs for features of the same size."""
    flat = features.detach().flatten().float()
    padded = nn.functional.pad(flat, (0, -len(flat) % SKETCH_SIZE))
    signed = padded * _signs(len(padded)).to(padded.device)
    return signed.view(-1, SKETCH_SIZE).sum(dim=0, dtype=torch.float64).cpu()


@lru_cache(maxsize=1)
def _signs(length: int) -> Tensor:
    return torch.randint(0, 2, (length,), generator=torch.Generator().manual_seed(SEED), dtype=torch.int8) * 2 - 1


def cosine_similarity(sketches: Tensor) -> Tensor:
    """``[K, SKETCH_SIZE]`` -> ``[K, K]``."""
    unit = nn.functional.normalize(sketches, dim=1)
    return (unit @ unit.T).clamp(-1, 1)


class FeatureSketches:
    """A watcher that sketches what modules give in every step of a generation.

    Args:
        modules: by the name under which their similarities are asked for.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self._modules = modules
        self._steps: list[dict[str, list[Any]]] = []
        self._sketches: list[dict[str, Tensor]] = []

    def enter(self, name: str) -> None:
        if name == "generate":
            self._sketches.clear()
        if name in STEP_STAGES:
            self._steps = [{}]

    def exit(self, name: str) -> None:
        if name in STEP_STAGES and self._steps:
            seen = self._steps.pop()
            self._sketches.append({path: sketch(joined(outputs)) for path, outputs in seen.items()})

    def install(self, undo: ExitStack) -> None:
        """See calls from now on, until `undo` is closed."""
        for path, module in self._modules.items():
            undo.callback(module.register_forward_hook(self._hook(path)).remove)
        undo.enter_context(watched_by([self]))

    def _hook(self, path: str) -> Any:
        def keep(module: nn.Module, args: Any, output: Any) -> None:
            if self._steps:
                self._steps[-1].setdefault(path, []).append(output)

        return keep

    def similarities(self) -> dict[str, Tensor]:
        """``[K, K]`` for every module that gave features of the same size in each of the K steps, in the order they ran in."""
        found = {}
        for path in self._sketches[0] if self._sketches else ():
            kept = [step[path] for step in self._sketches if path in step]
            if kept and len(kept) == len(self._sketches):
                found[path] = cosine_similarity(torch.stack(kept))
        return found


def reuse_similarity(workload: Workload, reuse: str) -> list[list[float]]:
    """The map that Algorithm 1 searches: of the features that `reuse` reuses, over one full generation.

    Raises:
        NotApplicableError: the denoiser has no such features.
    """
    watched = FeatureSketches({"reused": _reused_module(workload, reuse)})
    with ExitStack() as undo, torch.inference_mode():
        watched.install(undo)
        with stage("generate"):
            workload.generate()
    found = watched.similarities()
    if not found:
        raise NotApplicableError("similarity_threshold: the layer to be reused does not run once in every step")
    return found["reused"].tolist()


def _reused_module(workload: Workload, reuse: str) -> nn.Module:
    """The module whose output a reused step takes over."""
    module: Any = denoisers(workload)[0]
    place = -2 if reuse == "last_layer" else -1
    if is_unet(module):
        return reuse_point(module, reuse)
    if hasattr(module, LAYERS_IN_ORDER):
        return getattr(module, LAYERS_IN_ORDER)()[place]
    blocks = transformer_blocks(module)
    if not blocks:
        raise NotApplicableError(f"the denoiser ({type(module).__name__}) has no layer that could be reused")
    return blocks[place]
