"""Watches what fake tensors go through: every operator with its FLOPs and bytes, every attention call with its lengths.

FLOPs and classes come from the very formulas and tables that attribution uses on traces, so a simulated row and a measured
one mean the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Size, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from suite.attention_backends import Capability, preferring
from suite.attribution import taxonomy
from suite.attribution.marks import parse
from suite.attribution.scopes import AttentionRule, scope_marks
from suite.simulation.attention_kernels import Call, as_kernel, call_of, cuda_kernel, fake_backends, fused_scratch_bytes
from suite.simulation.known_operators import Call as OperatorCall
from suite.simulation.known_operators import KnownOperators
from suite.simulation.memory import LiveMemory
from suite.simulation.operator_calls import COMPOSITE, Kind, cost_of, kind_of, precision_of, tensors_in
from suite.simulation.scratch import scratch_bytes
from suite.simulation.strides import as_real
from suite.simulation.tally import AttentionCall, Cost, RowKey, Tally

KERNELS = ((r"flash", "flash"), (r"efficient", "efficient"), (r"cudnn", "cudnn"))
RMS_NORM, FUSED_RMS_NORM = torch.ops.aten.rms_norm.default, torch.ops.aten._fused_rms_norm.default
"""The first is made of others on a CPU, and is the second on a GPU."""


class Observer(TorchDispatchMode):
    """A dispatch mode that counts every operator into `tally`, by the module that is running.

    Args:
        device: ``cpu`` or ``cuda``: where the operators would run.
        compute: runs an operator, given its arguments and keyword arguments.
        operators: what is known of operators on fake tensors.
        capability: of the GPU, which decides about attention kernels; None: one that has them all.
    """

    def __init__(
        self,
        device: str,
        compute: Callable[[Any, Any, Any], Any],
        operators: KnownOperators,
        capability: Capability | None = None,
    ) -> None:
        super().__init__()
        self.operators = operators
        self.capability = capability
        self.device, self.compute = device, compute
        self.tally = Tally()
        self.memory = LiveMemory()
        self._scopes: list[tuple[str | None, str | None]] = []
        self._core_depth = 0
        self._core_kernel = "math"
        self._fused_kernel: str | None = None
        self._hooks: set[Any] = set()

    @contextmanager
    def watching(self, parts: Mapping[str, nn.Module], rules: Sequence[AttentionRule]) -> Iterator[None]:
        """Watch everything inside this block, telling modules and attention kinds apart as the profiled pass does."""
        with ExitStack() as stack:
            for module, name in scope_marks(parts, rules):
                mark = parse(name)
                assert mark is not None, name
                stack.callback(self._follow(module, (mark.module, mark.attention_kind)))
            stack.enter_context(_AttentionWatch(self))
            stack.enter_context(self)
            yield

    def _follow(self, module: nn.Module, scope: tuple[str | None, str | None]) -> Any:
        def enter(called: nn.Module, args: Any) -> None:
            self._scopes.append(scope)

        def leave(called: nn.Module, args: Any, output: Any) -> None:
            self._scopes.pop()

        self._hooks |= {enter, leave}
        handles = (
            module.register_forward_pre_hook(enter, prepend=True),
            module.register_forward_hook(leave, always_call=True),
        )
        return lambda: [handle.remove() for handle in handles]

    @contextmanager
    def on_host(self) -> Iterator[None]:
        """What runs in this block runs on a CPU, by its kernels and in its memory: nothing is allocated on the device."""
        before = self.device, self.memory, self.operators
        self.device, self.memory, self.operators = "cpu", LiveMemory(), KnownOperators(self.operators.mode)
        try:
            yield
        finally:
            self.device, self.memory, self.operators = before

    def owns(self, hook: Any) -> bool:
        """Whether a hook of a module is this observer's, which tells modules apart and does nothing else."""
        return hook in self._hooks

    @property
    def scope(self) -> tuple[str | None, str | None]:
        """Path of the innermost module and kind of the innermost attention that are running."""
        path = self._scopes[-1][0] if self._scopes else None
        kind = next((kind for _, kind in reversed(self._scopes) if kind is not None), None)
        return path, kind

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is RMS_NORM and self.device == "cuda":
            with self:
                return _fused_rms_norm(*args, **kwargs)
        kind = kind_of(func)
        if kind is Kind.NO_WORK:
            return func(*args, **kwargs)
        if kind is Kind.COMPOSITE and func is not FUSED_RMS_NORM:
            with self:
                return func._op_dk(COMPOSITE, *args, **kwargs)
        call = self.operators.call(func, args, kwargs) if kind is not Kind.RESHAPING else None
        effect = self.operators.find(call) if call is not None else None
        if call is None or effect is None:
            return self._run(func, args, kwargs, call)
        output, storages = self.operators.repeat(call, effect)
        self.memory.born(storages, effect.scratch_bytes)
        self._count(func._schema.name, effect.cost, effect.precision)
        return output

    def _run(self, func: Any, args: Any, kwargs: Any, call: OperatorCall | None) -> Any:
        """An operator that is not known yet."""
        name, scratch = func._schema.name, 0
        output = as_real(self.device, func, args, self.compute(func, args, kwargs))
        if self._fused_kernel is not None:
            output = as_kernel(self._fused_kernel, name, output)
        if not func.is_view:
            scratch = scratch_bytes(name, args, output, self.device)
            if self._fused_kernel is not None:
                scratch += fused_scratch_bytes(self._fused_kernel, name, args, kwargs)
            self.memory.note(tensors_in((args, kwargs)), tensors_in(output), scratch)
        cost, precision = cost_of(func, args, kwargs, output, scratch)
        self._count(name, cost, precision)
        if call is not None:
            self.operators.remember(call, output, scratch, cost, precision)
        return output

    def _count(self, name: str, cost: Cost, precision: str | None) -> None:
        path, kind = self.scope
        operator_class, part = taxonomy.operator_class(name), None
        if self._core_depth:
            operator_class, part = "attention", "core"
            self._core_kernel = next(
                (kernel for pattern, kernel in KERNELS if re.search(pattern, name)), self._core_kernel
            )
        elif kind is not None and operator_class in ("linear", "convolution"):
            part = "projection"
        self.tally.add(RowKey(path, name, operator_class, kind, part, precision), cost)

    def attend(self, call: Call, run: Callable[[], Any], kernel: str | None = None) -> Any:
        """Run a call of scaled_dot_product_attention and note it; `kernel`: what it is called where it chooses none."""
        self._core_depth += 1
        self._core_kernel = kernel or "math"
        try:
            output = self._on_cuda(call, run) if self.device == "cuda" and kernel is None else run()
        finally:
            self._core_depth -= 1
        path, kind = self.scope
        *batch, heads, query_length, head_dim = call.query.shape
        self.tally.attention.append(
            AttentionCall(
                path,
                kind,
                int(Size(batch).numel()),
                heads,
                query_length,
                call.key.shape[-2],
                head_dim,
                self._core_kernel,
                precision_of(call.query),
            )
        )
        return output

    def _on_cuda(self, call: Call, run: Callable[[], Any]) -> Any:
        """Run it with the kernel that stands for the one a GPU would take, and call it that."""
        self._fused_kernel = kernel = cuda_kernel(call, self.capability)
        try:
            with preferring(fake_backends(kernel)):
                return run()
        finally:
            self._core_kernel, self._fused_kernel = kernel, None


def _fused_rms_norm(
    image: torch.Tensor, shape: Sequence[int], weight: torch.Tensor | None = None, eps: float | None = None
) -> torch.Tensor:
    return FUSED_RMS_NORM(image, shape, weight, eps)[0]


class _AttentionWatch(TorchFunctionMode):
    """Sees calls of scaled_dot_product_attention before a kernel is chosen and the call falls apart."""

    def __init__(self, observer: Observer) -> None:
        super().__init__()
        self.observer = observer

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        kernel = getattr(function, taxonomy.CALLED, None)
        if kernel is None and getattr(function, "__name__", None) != "scaled_dot_product_attention":
            return function(*args, **kwargs)
        return self.observer.attend(call_of(args, kwargs), lambda: function(*args, **kwargs), kernel)
