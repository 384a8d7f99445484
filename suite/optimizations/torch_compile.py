"""torch.compile of the denoiser, as diffusers advises it: modules compiled in place, whole or block by block.

The first generation compiles, which is why it is no trial: it is recorded as a warm-up trial, so that a cold start can be told
from a quiet run. What was compiled is kept while other arms run without it, and put on again without compiling again.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from suite.errors import ConfigError
from suite.optimizations.compilations import Compilations
from suite.optimizations.contract import Handle
from suite.workload import PARTS, NotApplicableError, UnsupportedError, Workload

if TYPE_CHECKING:
    from torch import nn

BLOCKS = "_repeated_blocks"
"""Where a model of diffusers names the classes of its blocks that are worth compiling by themselves."""


@dataclass(frozen=True)
class TorchCompile:
    """Compile a workload's modules.

    Args:
        parts: whose modules.
        repeated_blocks: only the blocks that a model repeats, those that are alike once (diffusers'
            ``compile_repeated_blocks``): minutes less to compile, and nothing is fused across blocks.
        backend, mode, fullgraph, dynamic: of ``torch.compile``; null is its own choice.
    """

    parts: Sequence[str]
    repeated_blocks: bool
    backend: str
    mode: str | None
    fullgraph: bool
    dynamic: bool | None
    exact: ClassVar[bool] = True
    _compiled: dict[nn.Module, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What is called in place of a module's own call."""
    _compilations: Compilations = field(default_factory=Compilations, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in self.parts:
            if name not in PARTS:
                raise ConfigError(f"torch_compile.parts={name}: of {', '.join(PARTS)} any are accepted")

    def apply(self, workload: Workload) -> Handle:
        parts = {name: workload.parts[name] for name in self.parts if name in workload.parts}
        modules = [module for part in parts.values() for module in self._modules(part)]
        if not modules:
            raise NotApplicableError(f"the workload has no {' or '.join(self.parts)}")
        require_compiler(self.backend, modules[0])
        if not set(modules) <= set(self._compiled):
            self._compile(modules)
        handle = Handle(
            f"{_counted(len(modules), 'module')} of the {' and '.join(parts)} compiled with {self.backend}; what runs inside "
            "has no module and no kind of attention of its own, and what is fused no class",
            findings=self._compilations.told,
        )
        for module in modules:
            module._compiled_call_impl = self._compiled[module]
            handle.on_revert(lambda module=module: setattr(module, "_compiled_call_impl", None))
        handle.undo.enter_context(self._compilations.watched())
        handle.undo.enter_context(_without_advice())
        return handle

    def _modules(self, part: nn.Module) -> Iterator[nn.Module]:
        """What is called of a part: itself, its members where it has several, a VAE's decoder; or the blocks of these."""
        for called in called_modules(part):
            if called._compiled_call_impl is not None:
                raise NotApplicableError(f"the {type(called).__name__} is compiled already")
            if not self.repeated_blocks:
                yield called
                continue
            names = getattr(called, BLOCKS, None) or ()
            blocks = [module for module in called.modules() if type(module).__name__ in names]
            if not blocks:
                raise NotApplicableError(f"diffusers names no repeated blocks of a {type(called).__name__}")
            yield from blocks

    def _compile(self, modules: Sequence[nn.Module]) -> None:
        """Wrap the modules' calls; they are compiled when they are first called."""
        import torch

        # A cold start: graphs of earlier runs would be taken for this one's, and count against torch's limits.
        torch._dynamo.reset()
        self._compiled.clear()
        for module in modules:
            self._compiled[module] = torch.compile(
                module._call_impl, backend=self.backend, mode=self.mode, fullgraph=self.fullgraph, dynamic=self.dynamic
            )  # fmt: skip


def called_modules(part: nn.Module) -> list[nn.Module]:
    """The modules whose ``__call__`` does a part's work. A VAE is used through ``decode``, which calls its decoder."""
    from torch import nn

    members = list(part.values()) if isinstance(part, nn.ModuleDict) else [part]
    decoders = (getattr(module, "decoder", None) if hasattr(module, "decode") else None for module in members)
    return [inner if inner is not None else module for module, inner in zip(members, decoders, strict=True)]


def require_compiler(backend: str, module: nn.Module) -> None:
    """Raise where nothing can be compiled: in a simulation, with an unknown backend, or without a compiler of its own."""
    from torch._dynamo import list_backends

    weight = next(module.parameters())
    if weight.is_meta:
        raise UnsupportedError(
            "a simulation runs one operator after another: which of them a compiler fuses, and the bytes that this saves, "
            "only compiling tells"
        )
    if backend not in list_backends(exclude_tags=()):
        raise ConfigError(f"torch_compile.backend={backend}: one of {', '.join(list_backends(()))} is accepted")
    if backend == "inductor":
        _require_inductor(weight.device.type)


def _require_inductor(device: str) -> None:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler
    from torch.utils._triton import has_triton

    if device == "cuda" and not has_triton():
        raise UnsupportedError("torch.compile on a GPU needs triton, which is not installed")
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        raise UnsupportedError(
            "torch.compile needs a C++ compiler such as g++, and finds none on this machine"
        ) from None


@contextmanager
def _without_advice() -> Iterator[None]:
    """What Dynamo warns of while it traces a library's code is nothing that whoever waits could change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"torch\._(dynamo|inductor)")
        yield


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
