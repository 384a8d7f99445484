"""What an optimization is: something that can be put on a workload, says what it changed, and can be taken off again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from suite.record import Applied
from suite.workload import Workload


@dataclass
class Handle:
    """An optimization that is on. `revert` puts everything back as it was."""

    changes: str
    """One sentence: what was changed."""
    replayable: bool = True
    """False: calls of the same shapes may cost different things and no `suite.workload.CALL_VARIANT` tells them apart, so a
    simulation may not take one for the other."""
    exact: bool | None = None
    """Whether the output is reproduced, where that depends on the workload. None: as `Optimization.exact` says."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Parts of it that have no meaning on the workload, and why."""
    findings: Callable[[], str] | None = None
    """Tells what is known of it by now, where that is more once the workload has run; stands after `changes`."""
    plan: str | None = None
    """What was chosen for it before the run began, see `suite.record.Applied`."""
    undo: ExitStack = field(default_factory=ExitStack)

    def on_revert(self, action: Callable[[], object]) -> None:
        """Run `action` at `revert`, before the actions that were given earlier."""
        self.undo.callback(action)

    def revert(self) -> None:
        self.undo.close()


class Optimization(Protocol):
    """A technique. Its arguments are what its YAML lists.

    ``apply`` raises `suite.workload.NotApplicableError` where it would change nothing, and
    `suite.workload.UnsupportedError` where this machine cannot do it.
    """

    exact: ClassVar[bool]
    """True: must reproduce the unoptimized output to rounding. False: may change it, so its fidelity is measured."""

    def apply(self, workload: Workload) -> Handle: ...


def as_applied(name: str, optimization: Optimization, handle: Handle) -> Applied:
    """What a record keeps of it."""
    changes = handle.changes if handle.findings is None else f"{handle.changes}; {handle.findings()}"
    return Applied(
        name=name,
        exact=is_exact(optimization, handle),
        changes=changes,
        plan=handle.plan,
        left_out=dict(handle.left_out),
    )


def is_exact(optimization: Optimization, handle: Handle) -> bool:
    """Whether the workload must give the unoptimized output to rounding while `handle` is on."""
    return optimization.exact if handle.exact is None else handle.exact
