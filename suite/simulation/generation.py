"""One simulated generation: a workload's real code on fake tensors, told by stage and step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._pytree import tree_leaves, tree_map

from suite.attention_backends import capability_of
from suite.attribution.taxonomy import DEVICE_TO_HOST, HOST_TO_DEVICE
from suite.simulation.between_parts import BetweenParts
from suite.simulation.caching_allocator import CachingAllocator
from suite.simulation.expandable_segments import ExpandableAllocator
from suite.simulation.inner_calls import InnerCalls
from suite.simulation.known_operators import KnownOperators
from suite.simulation.observer import Observer
from suite.simulation.offloading import Travels
from suite.simulation.parts import fake_parts, sealed_modules, to_real
from suite.simulation.replay import Known, Replay
from suite.simulation.tables import Simulation, simulation_tables, without_bytes
from suite.simulation.tally import Events, Ints, Segment, Spell, Tally
from suite.stage import DENOISER_FORWARD, STEP_STAGES, stage, watched_by
from suite.workload import Workload, storage_bytes


@dataclass
class StageSpells:
    """A watcher that keeps what an observer tallied in each stage and step, in time order."""

    observer: Observer
    found: list[Segment] = field(default_factory=list)
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

    def cut(self) -> tuple[Spell, Events]:
        """What was tallied since the last edge, counted in the stage that was open since."""
        spell, self.observer.tally = self.observer.tally.freeze(), Tally()
        events = self.observer.memory.cut()
        self.add(spell, events)
        return spell, events

    def hold(self, tensors: Iterable[torch.Tensor]) -> None:
        """Count what is there before the generation begins."""
        self.observer.memory.hold(tensors)
        self.cut()

    def add(self, spell: Spell, events: Events) -> None:
        """Count something in the stage that is open."""
        stages = tuple(name for name in self._open if name != DENOISER_FORWARD)
        step = next((self._counts[name] for name in reversed(stages) if name in STEP_STAGES), None)
        if spell.keys or len(events.ids):
            self.found.append(Segment(stages, step, spell, events))


@dataclass(frozen=True)
class SealedCalls:
    """What happens at every sealed call: it is simulated, or replayed where its cost is known.

    Args:
        stages: where it is counted.
        replay: what is known of sealed calls.
        inner: what is known of calls inside the one that is simulated.
        travels: weights that come for a call.
        replaying: whether what is known is used.
        say: told what is simulated.
    """

    stages: StageSpells
    replay: Replay
    inner: InnerCalls
    travels: Travels
    replaying: bool
    say: Callable[[str], None]

    def __call__(self, module: nn.Module, run: Callable[[], Any], args: Any, kwargs: Any) -> Any:
        """What the pipeline gets: zeros of the shapes of the module's output."""
        self.travels.call(module)
        self.stages.cut()  # so that what follows is this call's alone
        if self.travels.stays(module):
            return self._on_host(module, run, (args, kwargs))
        call = self.replay.describe(module, args, kwargs, self.travels.state())
        known = self.replay.find(call) if self.replaying and not self.travels.astray else None
        if known is not None:
            events, blocks = self.replay.repeat(call, known, args, kwargs)
            self.stages.add(known.spell, events)
            return tree_map(partial(self._handed_out, of=(known, blocks)), known.output)
        self.say(f"simulating {type(module).__name__}")
        memory = self.stages.observer.memory
        first_block, astray = memory.next_block, self.travels.astray
        output = run()
        self.inner.forget()
        spell, events = self.stages.cut()
        fakes = [leaf for leaf in tree_leaves(output) if isinstance(leaf, FakeTensor)]
        if not astray and not self.travels.astray:
            self.replay.remember(call, args, kwargs, spell, memory.template(events, first_block, fakes), output)
        return tree_map(self._handed_out, output)

    def _on_host(self, module: nn.Module, run: Callable[[], Any], given: Any) -> Any:
        """A call that runs on the host; what it returns is on the device."""
        self.say(f"simulating {type(module).__name__}")
        observer = self.stages.observer
        self.travels.send((leaf for leaf in tree_leaves(given) if isinstance(leaf, torch.Tensor)), DEVICE_TO_HOST)
        with observer.on_host():
            output = tree_map(to_real, run())
            self.inner.forget()
        returned = {
            leaf.untyped_storage()._cdata: leaf for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor)
        }
        self.travels.send(returned.values(), HOST_TO_DEVICE)
        observer.memory.born([leaf.untyped_storage() for leaf in returned.values()])
        self.stages.cut()
        return output

    def _handed_out(self, leaf: Any, of: tuple[Known, Ints] | None = None) -> Any:
        """The real tensor in place of a fake one, which holds its memory from now on; `of` a replayed call and its blocks."""
        real = to_real(leaf)
        if not isinstance(leaf, FakeTensor):
            return real
        if of is None:
            self.stages.observer.memory.hand_over(leaf, real)
            return real
        known, blocks = of
        block = known.template.outputs.get(leaf.untyped_storage()._cdata)
        if block is not None:
            self.stages.observer.memory.hand_over(leaf, real, int(blocks[block]))
        return real


def simulate(
    workload: Workload,
    *,
    device: str = "cpu",
    workspace_bytes: int = 0,
    capacity_bytes: int | None = None,
    expandable_segments: bool = False,
    replaying: bool = True,
    say: Callable[[str], None] = lambda message: None,
) -> Simulation:
    """Generate once on fake tensors.

    Args:
        workload: built on the meta device; its parts are fake from now on. The compute capability of its placement decides
            about attention kernels.
        device: ``cpu`` or ``cuda``: the kind of device that is simulated. Tensors are fake CPU ones either way.
        workspace_bytes: that libraries keep on the device from the warm-up on.
        capacity_bytes: that the device has for tensors; None: no end of it.
        expandable_segments: whether its allocator makes such.
        replaying: whether calls of known cost are skipped, see `suite.simulation.replay`.
        say: told how far it is.
    """
    mode = fake_parts(workload.parts)
    # What is on the device of weights that travel changes from moment to moment.
    weights_bytes = storage_bytes(workload.parts.values()) if workload.offload is None else None
    workload.placement = replace(workload.placement, device="cpu")
    capability = capability_of(workload.placement.compute_capability)
    observer = Observer(device, BetweenParts.of(workload, mode), KnownOperators(mode), capability)
    stages = StageSpells(observer)
    inner, travels = InnerCalls(mode, observer), Travels(workload.offload, observer)
    calls = SealedCalls(stages, Replay(mode, observer.memory), inner, travels, replaying, say)
    observer.memory.keep(workspace_bytes)
    travels.begin()
    stages.hold(tensor for part in workload.parts.values() for tensor in (*part.parameters(), *part.buffers()))
    with (
        travels.watching(),
        observer.watching(workload.parts, workload.attention_rules),
        sealed_modules(mode, calls, inner if replaying else None, observer.memory.sweep_weights),
        watched_by([stages]),
        stage("generate"),
    ):
        output = workload.generate()
        travels.end()
        stages.cut()
    del output
    allocator = (ExpandableAllocator if expandable_segments else CachingAllocator)(capacity_bytes)
    found = simulation_tables(stages.found, weights_bytes, allocator)
    if workload.offload is None or not workload.offload.on_host:
        return found
    return replace(found, operators=without_bytes(found.operators, workload.offload.on_host))
