"""Scopes: spans opened while a workload runs, so that a profiler's trace knows stages, modules and attention kinds.

The only file of this room that needs torch, and it asks for it where it is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import local
from typing import TYPE_CHECKING, Any

from suite.attribution.marks import attention_mark, module_mark, stage_mark

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class AttentionRule:
    """Modules whose path ``<part>.<path inside the part>`` the pattern is found in do attention of this kind."""

    pattern: str
    kind: str


class StageScopes:
    """A watcher that leaves each stage as a span in the trace of whatever profiler is on."""

    def __init__(self) -> None:
        from torch._C._profiler import _RecordFunctionFast

        self._open_span: Callable[[str], Any] = _RecordFunctionFast
        self._spans: list[Any] = []

    def enter(self, name: str) -> None:
        span = self._open_span(stage_mark(name))
        span.__enter__()
        self._spans.append(span)

    def exit(self, name: str) -> None:
        self._spans.pop().__exit__(None, None, None)


@contextmanager
def module_scopes(parts: Mapping[str, nn.Module], rules: Sequence[AttentionRule]) -> Iterator[None]:
    """Leave the calls of the modules that matter as spans in the trace, while this block runs.

    A call costs one or two microseconds more, so only roots of meaning are watched, see `scope_marks`.
    """
    with ExitStack() as scopes:
        open_spans = _OpenSpans()
        for module, mark in scope_marks(parts, rules):
            scopes.callback(_watch(module, mark, open_spans))
        yield


def scope_marks(parts: Mapping[str, nn.Module], rules: Sequence[AttentionRule]) -> list[tuple[nn.Module, str]]:
    """The modules that get a span, each once, with the span's name.

    They are: every part; the children of a part (a part's methods, such as ``vae.decode``, are called without its own
    ``__call__``) and the blocks of lists, where these have submodules; and the outermost modules that a rule matches. A
    module that two parts share keeps the path under the first, and a part its own name.
    """
    compiled_rules = [(re.compile(rule.pattern), rule.kind) for rule in rules]
    marks = {id(part): (part, module_mark(name)) for name, part in reversed(list(parts.items()))}
    for name, part in parts.items():
        _add_marks(part, name, compiled_rules, marks)
    return list(marks.values())


def _add_marks(
    part: nn.Module, name: str, rules: list[tuple[re.Pattern[str], str]], marks: dict[int, tuple[nn.Module, str]]
) -> None:
    from torch import nn

    def visit(parent: nn.Module, parent_path: str) -> None:
        for child_name, child in parent.named_children():
            path = f"{parent_path}.{child_name}"
            is_list = isinstance(child, nn.ModuleList | nn.ModuleDict)
            kind = None if is_list else _kind(path, rules)
            if kind is not None:
                marks.setdefault(id(child), (child, attention_mark(kind, path)))
                continue
            is_root = parent is part or isinstance(parent, nn.ModuleList | nn.Sequential)
            if is_root and not is_list and next(child.children(), None) is not None:
                marks.setdefault(id(child), (child, module_mark(path)))
            if not _is_compiled(child):
                visit(child, path)

    if not _is_compiled(part):
        visit(part, name)


def _kind(path: str, rules: list[tuple[re.Pattern[str], str]]) -> str | None:
    return next((kind for pattern, kind in rules if pattern.search(path)), None)


def _is_compiled(module: nn.Module) -> bool:
    """Whether a compiler sees what is inside: hooks there would break its graphs."""
    return module._compiled_call_impl is not None or hasattr(module, "_orig_mod")


class _OpenSpans(local):
    """Spans that are open on this thread, innermost last, each with the module that opened it."""

    def __init__(self) -> None:
        self.stack: list[tuple[Any, Any]] = []


def _watch(module: nn.Module, mark: str, open_spans: _OpenSpans) -> Callable[[], None]:
    """Open a span around every call of `module`; gives back the function that ends this."""
    from torch._C._profiler import _RecordFunctionFast

    if module._compiled_call_impl is not None:
        return _watch_compiled(module, mark)

    def enter(called: nn.Module, args: Any) -> None:
        span = _RecordFunctionFast(mark)
        span.__enter__()
        open_spans.stack.append((called, span))

    def leave(called: nn.Module, args: Any, output: Any) -> None:
        stack = open_spans.stack
        # Also called when somebody else's pre-hook failed before ours could open a span.
        if stack and stack[-1][0] is called:
            stack.pop()[1].__exit__(None, None, None)

    before = module.register_forward_pre_hook(enter, prepend=True)
    after = module.register_forward_hook(leave, always_call=True)

    def remove() -> None:
        before.remove()
        after.remove()

    return remove


def _watch_compiled(module: Any, mark: str) -> Callable[[], None]:
    """A module compiled in place runs its hooks inside the graph, so the span goes around the compiled call instead."""
    from torch._C._profiler import _RecordFunctionFast

    compiled_call = module._compiled_call_impl

    def marked_call(*args: Any, **kwargs: Any) -> Any:
        with _RecordFunctionFast(mark):
            return compiled_call(*args, **kwargs)

    module._compiled_call_impl = marked_call

    def remove() -> None:
        module._compiled_call_impl = compiled_call

    return remove
