"""One simulated generation: a workload's real code on fake tensors, told by stage and step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from suite.simulation.observer import Observer
from suite.simulation.parts import fake_parts, sealed_modules
from suite.simulation.replay import Replay
from suite.simulation.tables import Simulation, simulation_tables
from suite.simulation.tally import Spell, Tally
from suite.stage import DENOISER_FORWARD, STEP_STAGES, stage, watched_by
from suite.workload import Workload


@dataclass
class StageSpells:
    """A watcher that keeps what an observer tallied in each stage and step, in time order."""

    observer: Observer
    found: list[tuple[str | None, int | None, Spell]] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)

    def enter(self, name: str) -> None:
        self.cut()
        self._open.append(name)
        if name in STEP_STAGES:
            self._counts[name] = self._counts.get(name, -1) + 1

    def exit(self, name: str) -> None:
        self.cut()
        self._open.pop()

    def cut(self) -> Spell:
        """What was tallied since the last edge, as a spell of the stage that was open since."""
        spell, self.observer.tally = self.observer.tally.freeze(), Tally()
        self.add(spell)
        return spell

    def add(self, spell: Spell) -> None:
        """Count a spell in the stage that is open."""
        stages = [name for name in self._open if name != DENOISER_FORWARD]
        step = next((self._counts[name] for name in reversed(stages) if name in STEP_STAGES), None)
        if spell.keys:
            self.found.append((stages[-1] if stages else None, step, spell))


def simulate(
    workload: Workload, *, replaying: bool = True, say: Callable[[str], None] = lambda message: None
) -> Simulation:
    """Generate once on fake tensors.

    Args:
        workload: built on the meta device; its parts are fake from now on.
        replaying: whether calls of known cost are skipped, see `suite.simulation.replay`.
        say: told how far it is.
    """
    mode = fake_parts(workload.parts)
    workload.placement = replace(workload.placement, device="cpu")
    observer, replay = Observer(), Replay(mode)
    stages = StageSpells(observer)

    def around(module: nn.Module, run: Callable[[], Any], args: Any, kwargs: Any) -> Any:
        described = replay.describe(module, args, kwargs)
        known = replay.find(described, args, kwargs) if replaying else None
        stages.cut()  # so that what follows is this call's alone
        if known is not None:
            stages.add(known[0])
            return known[1]
        say(f"simulating {type(module).__name__}")
        output = run()
        replay.remember(described, stages.cut(), output)
        return output

    with (
        observer.watching(workload.parts, workload.attention_rules),
        sealed_modules(mode, around),
        watched_by([stages]),
        stage("generate"),
    ):
        workload.generate()
    return simulation_tables(stages.found)
