"""What the device reaches, beside its datasheet: the figures that estimates rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.gpu_study.checks.setting import Setting, Verdict

if TYPE_CHECKING:
    from suite.machine import Machine

QUESTION = "Does the device reach a plausible share of the rates that conf/machine has for it?"
PLAUSIBLE = (0.3, 1.1)
"""Clocks may be above those of the datasheet; less than a third would be another device, or a fault."""


def check(setting: Setting) -> dict[str, Verdict]:
    from suite.machine import machines
    from suite.simulation.benchmark import benchmark

    name = setting.machine()
    return beside(benchmark(setting.device), None if name is None else machines()[name])


def beside(found: Machine, known: Machine | None) -> dict[str, Verdict]:
    """A verdict for every rate that was measured."""
    ours = {f"{name} FLOP/s": rate for name, rate in found.peak_flops_per_s.items()}
    theirs = {} if known is None else {f"{name} FLOP/s": rate for name, rate in known.peak_flops_per_s.items()}
    ours["bytes/s"], theirs["bytes/s"] = found.bandwidth_bytes_per_s, known and known.bandwidth_bytes_per_s
    verdicts = {name: _rate(name, rate, theirs.get(name)) for name, rate in ours.items() if rate is not None}
    overhead = f"Every launch takes {found.launch_overhead_s} s."
    return verdicts | {"launch": Verdict(None, overhead, {"launch_overhead_s": found.launch_overhead_s})}


def _rate(name: str, ours: float, theirs: float | None) -> Verdict:
    if theirs is None:
        return Verdict(None, f"{ours:.4g} {name}; conf/machine has none to compare with.", {"ours": ours})
    share = ours / theirs
    told = f"{ours:.4g} {name}, {share:.0%} of the datasheet's."
    return Verdict(PLAUSIBLE[0] <= share <= PLAUSIBLE[1], told, {"ours": ours, "theirs": theirs, "share": share})
