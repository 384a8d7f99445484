"""Calls of a pipeline seen from outside: what it is called with can be changed, and it can be called several times instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, signature
from typing import Any

from suite.workload import NotApplicableError, Workload


def pipeline_of(workload: Workload, *arguments: str) -> Any:
    """The workload's pipeline.

    Raises:
        NotApplicableError: it has none, or one that does not take all of `arguments`.
    """
    pipeline: Any = getattr(workload, "pipeline", None)
    if pipeline is None:
        raise NotApplicableError(f"{type(workload).__name__} has no pipeline whose arguments could be changed")
    for name in arguments:
        if name not in parameters(pipeline):
            raise NotApplicableError(f"{type(pipeline).__name__} takes no {name}")
    return pipeline


def parameters(pipeline: Any) -> Mapping[str, Parameter]:
    return signature(type(pipeline).__call__).parameters


def replace_call(pipeline: Any, around: Callable[[Callable[..., Any], dict[str, Any]], Any]) -> Callable[[], None]:
    """Send every ``pipeline(**arguments)`` through ``around(call, arguments)``; returns what ends this.

    The instance gets a subclass of its own, as `suite.stage.mark_calls` gives modules; its signature stays.
    """
    original = type(pipeline)

    @wraps(original.__call__)
    def called(self: Any, **arguments: Any) -> Any:
        return around(lambda **changed: original.__call__(self, **changed), arguments)

    namespace = {"__call__": called, "__module__": original.__module__, "__qualname__": original.__qualname__}
    pipeline.__class__ = type(original.__name__, (original,), namespace)
    return lambda: setattr(pipeline, "__class__", original)
