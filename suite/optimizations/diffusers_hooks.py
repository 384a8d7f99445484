"""What diffusers' own caches between steps share: hooks put on with diffusers' functions, counted, and taken off without trace.

Several of these functions put no hook on a U-Net and say nothing. Here that is `NotApplicableError`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from suite.optimizations.contract import Handle
from suite.stage import DENOISER_FORWARD, STEP_STAGES, Watcher, watched_by
from suite.workload import NotApplicableError, UnsupportedError, Workload

if TYPE_CHECKING:
    from torch import nn

ADDED = ("forward", "_diffusers_hook")
"""Attributes that diffusers' hooks leave on an instance."""


def hooked(
    workload: Workload,
    name: str,
    put_on: Callable[[nn.Module], object],
    *,
    transformers_only: bool = True,
    contexts: bool = False,
    timesteps: Timesteps | None = None,
) -> Handle:
    """Put diffusers' hooks on every denoiser of a pipeline.

    Args:
        name: of the technique, for what is told of it.
        put_on: diffusers' function, given a denoiser.
        transformers_only: refuse models that diffusers does not declare to be cacheable.
        contexts: whether the hooks need a pipeline that says which of its calls it makes (``cache_context``).
        timesteps: what the hooks ask for the timestep, if they do.

    Raises:
        NotApplicableError: diffusers does not support the model, or put no hook on it.
    """
    pipeline = getattr(workload, "pipeline", None)
    if pipeline is None:
        raise NotApplicableError(f"{name} is diffusers': this workload is no pipeline of diffusers")
    if contexts and "cache_context" not in inspect.getsource(type(pipeline).__call__):
        raise NotApplicableError(f"{name}: {type(pipeline).__name__} does not tell its calls apart (cache_context)")
    handle = Handle("", replayable=False)
    num_hooks = 0
    try:
        for denoiser in _denoisers(workload):
            num_hooks += _put_on(denoiser, name, put_on, transformers_only, handle)
    except NotApplicableError:
        handle.revert()
        raise
    watchers: list[Watcher] = [_Reset(_denoisers(workload)), *([timesteps] if timesteps is not None else [])]
    if not contexts:
        watchers.append(_OneCallAStep(name))
    handle.undo.enter_context(watched_by(watchers))
    handle.changes = f"diffusers' {name} on {num_hooks} modules of the denoiser"
    return handle


class Timesteps:
    """A watcher that knows the timestep of the step under way, as diffusers' configurations ask for it by calling it.

    Read before a step begins: what runs inside a simulated call has no values.

    Raises:
        NotApplicableError: the scheduler counts in something else (Stable Video Diffusion's in noise levels).
    """

    def __init__(self, workload: Workload) -> None:
        pipeline = getattr(workload, "pipeline", None)
        if pipeline is not None and pipeline.scheduler.config.get("timestep_type") == "continuous":
            raise NotApplicableError(
                "the scheduler's timesteps are no numbers up to 1000, by which this technique goes"
            )
        self._workload: Any = workload
        self._values: list[float] = []
        self._step = -1

    def enter(self, name: str) -> None:
        if name == "generate":
            self._step = -1
        elif name in STEP_STAGES:
            self._step += 1
            if self._step == 0:
                self._values = self._workload.pipeline.scheduler.timesteps.tolist()

    def exit(self, name: str) -> None:
        del name

    def __call__(self) -> float:
        return self._values[self._step]


def _put_on(
    denoiser: nn.Module, name: str, put_on: Callable[[nn.Module], object], transformers_only: bool, handle: Handle
) -> int:
    """Number of modules that carry a hook now and did not before."""
    kind = type(denoiser).__name__
    if transformers_only and not hasattr(denoiser, "enable_cache"):
        raise NotApplicableError(f"diffusers has no {name} for a {kind}")
    before = [_Before(module) for module in denoiser.modules()]
    handle.on_revert(lambda: [module.restore() for module in before])
    hooks_before = _num_hooked(denoiser)
    try:
        put_on(denoiser)
    except (ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise NotApplicableError(f"diffusers' {name} fails on a {kind}: {' '.join(str(error).split())[:200]}") from None
    num_hooks = _num_hooked(denoiser) - hooks_before
    if num_hooks == 0:
        raise NotApplicableError(f"diffusers' {name} finds nothing to hook in a {kind}, and would do nothing")
    _registry(denoiser).invalidate_child_registries_cache()
    return num_hooks


class _Before:
    """A module as it is before hooks are put on it, which leave a registry and a ``forward`` on the instance."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._attributes = {key: vars(module)[key] for key in ADDED if key in vars(module)}
        self._hooks = set(_hooks(module))

    def restore(self) -> None:
        for name in _hooks(self._module):
            if name not in self._hooks:
                _registry(self._module).remove_hook(name, recurse=False)
        for key in ADDED:
            vars(self._module).pop(key, None)
        vars(self._module).update(self._attributes)


def _hooks(module: nn.Module) -> list[str]:
    """Names of diffusers' hooks on a module, the latest first."""
    registry = vars(module).get("_diffusers_hook")
    return [] if registry is None else list(reversed(registry.hooks))


def _num_hooked(denoiser: nn.Module) -> int:
    return sum(bool(_hooks(module)) for module in denoiser.modules())


def _registry(module: nn.Module) -> Any:
    from diffusers.hooks import HookRegistry

    return HookRegistry.check_if_exists_or_initialize(module)


def _denoisers(workload: Workload) -> list[nn.Module]:
    from suite.optimizations.rehash.denoiser import denoisers

    return denoisers(workload)


class _OneCallAStep:
    """A watcher that ends a generation whose steps call the denoiser twice, with and without the condition.

    Hooks that are told of no context would give the one call what the other has left.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._num_calls = 0

    def enter(self, name: str) -> None:
        if name in STEP_STAGES:
            self._num_calls = 0
        if name == DENOISER_FORWARD:
            self._num_calls += 1
            if self._num_calls > 1:
                raise UnsupportedError(
                    f"diffusers' {self._name} mixes up the two denoiser calls that guidance makes here"
                )

    def exit(self, name: str) -> None:
        del name


class _Reset:
    """A watcher that makes hooks forget what they kept when a generation begins; pipelines do so for some models only."""

    def __init__(self, denoisers: list[nn.Module]) -> None:
        self._denoisers = denoisers

    def enter(self, name: str) -> None:
        if name == "generate":
            for denoiser in self._denoisers:
                _registry(denoiser).reset_stateful_hooks(recurse=True)

    def exit(self, name: str) -> None:
        self.enter(name)
