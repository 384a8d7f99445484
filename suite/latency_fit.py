"""Calibrations of whole machines, fitted to published latencies: what operators reach on any GPU, and each GPU's share of that.

    published latencies + simulated operators of the same runs --fit--> efficiencies, machines' factors, hosts --> a calibration
    for every machine, those that nobody measured included, with the error on models and on machines that were left out

Seconds are those of `suite.roofline`. Common to all machines: what linear layers, fused attention and convolutions reach of a
peak, what all operators reach of a bandwidth, and a kernel's latency. A machine multiplies its peaks' shares by a factor: a
chip that promises more FLOP/s for its watts keeps less of its promise, so the factor follows peak over power, then its
family, then the machine itself, each as far as there are latencies to tell (ridge regression: penalties stand for how much
families and machines of a family differ). A host's time for an operator is a machine's, too.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from suite.attribution.taxonomy import OPERATOR_CLASSES
from suite.errors import ConfigError
from suite.machine import Calibration, Efficiency, Machine
from suite.roofline import Demands, Floats, demands, device_s, waits_s
from suite.tensor_cores import Tf32

CLASSES = ("linear", "attention", "convolution")
"""What has a share of a peak of its own, in this order among the parameters."""
REFERENCE = 312e12 / 400
"""FLOP/s a watt at which a factor is 1: an A100's."""
CEILING = 0.97
"""No class reaches more of a peak."""
FAMILY_SPREAD, MACHINE_SPREAD, HOST_SPREAD = 0.3, 0.1, 0.4
"""Standard deviations that the penalties stand for, of logarithms."""
DELAY_SPREAD = 0.5
"""The same of a kernel's latency and a host's time around `START`: latencies that no small kernel holds up do not tell them."""
ERROR_SPREAD = 0.1
"""Of a latency's logarithm: errors beyond it count linearly (soft L1), so that no odd row bends the fit."""
START = {"linear": 0.75, "attention": 0.4, "convolution": 0.35, "memory": 0.85, "latency_s": 3e-6, "overhead_s": 25e-6}
BOUNDS = {"memory": (0.5, 1.0), "latency_s": (5e-7, 8e-6), "overhead_s": (2e-6, 1e-4)}
SHARES = (0.05, 1.5)
"""Bounds of a class's share on an A100; times a factor they are below `CEILING`."""


@dataclass(frozen=True)
class Latency:
    """A measured latency beside the simulation of its run.

    Attributes:
        name: of the latency.
        model: what was run, such as a workload's name; leaving models out goes by it.
        machine: that it was measured on, uncalibrated figures.
        seconds: measured.
        needed: of the machine, by rows, uncalibrated but with whole tiles and temporaries.
        weight: 1 for one that is sure.
    """

    name: str
    model: str
    machine: Machine
    seconds: float
    needed: Demands
    weight: float = 1.0


def latency(
    name: str, model: str, machine: Machine, seconds: float, operators: pa.Table, *, tf32: Tf32, weight: float = 1.0
) -> Latency:
    """A measured latency with its simulated operators; rows that need the same are one."""
    found = demands(operators, machine, allow_tf32=tf32, in_full=True)
    if not np.isfinite(found.arithmetic_s).all() or not np.isfinite(found.transfer_s).all():
        raise ConfigError(f"{name}: {machine.name} has no known peak or bandwidth for some of its operators")
    kinds = np.array([CLASSES.index(kind) if kind in CLASSES else len(CLASSES) for kind in found.names])[found.kinds]
    calls = np.maximum(found.calls, 1e-9)
    each = [np.round(column / calls, 10) for column in (found.arithmetic_s, found.transfer_s, found.copies_s)]
    alike = np.column_stack([*each, kinds, found.stages, found.calls > 0, found.is_overlapped])
    _, group = np.unique(alike, axis=0, return_inverse=True)
    group = group.ravel()
    first = np.zeros(group.max() + 1, np.int64)
    first[group] = np.arange(len(group))
    arithmetic, transfer, copies, number = (
        np.bincount(group, column) for column in (found.arithmetic_s, found.transfer_s, found.copies_s, found.calls)
    )
    merged = replace(
        found,
        arithmetic_s=arithmetic,
        transfer_s=transfer,
        copies_s=copies,
        link_s=np.bincount(group, found.link_s),
        is_overlapped=found.is_overlapped[first],
        calls=number,
        kinds=kinds[first],
        names=(*CLASSES, "other"),
        stages=found.stages[first],
    )
    return Latency(name, model, machine, seconds, merged, weight)


@dataclass(frozen=True)
class Fit:
    """What was found; logarithms but for `slope`."""

    shares: Floats
    memory: float
    latency_s: float
    overhead_s: float
    slope: float
    families: Mapping[str, float]
    machines: Mapping[str, float]
    hosts: Mapping[str, float]

    def factor(self, machine: Machine) -> float:
        """What the machine's share of peaks is times an A100's."""
        return float(
            np.exp(
                self.slope * promise(machine)
                + self.families.get(machine.family or machine.name, 0.0)
                + self.machines.get(machine.name, 0.0)
            )
        )

    def reached(self, machine: Machine) -> Floats:
        """Shares of its peaks by class, and 1 for what has no arithmetic."""
        shares = np.exp(self.shares) * self.factor(machine)
        return np.append((shares**-8 + CEILING**-8) ** (-1 / 8), 1.0)

    def host_s(self, machine: Machine) -> float:
        return float(np.exp(self.overhead_s + self.hosts.get(machine.name, 0.0)))

    def seconds(self, one: Latency) -> float:
        """The estimate of a latency."""
        needed = one.needed
        device = device_s(needed, self.reached(one.machine)[needed.kinds], np.exp(self.memory), np.exp(self.latency_s))
        return float((device + waits_s(needed, device, self.host_s(one.machine))).sum())


def promise(machine: Machine) -> float:
    """Logarithm of half-precision FLOP/s a watt over an A100's; 0 where either is not known."""
    peak = machine.peak_flops_per_s.get("float16") or machine.peak_flops_per_s.get("bfloat16")
    return float(np.log(peak / machine.power_w / REFERENCE)) if peak and machine.power_w else 0.0


def fit(latencies: Sequence[Latency]) -> Fit:
    """Least squares of the logarithm of latencies; several of one model on one machine weigh less each.

    Raises:
        ConfigError: there are none.
    """
    from scipy.optimize import least_squares

    if not latencies:
        raise ConfigError("no latency to fit to")
    families = sorted({one.machine.family or one.machine.name for one in latencies})
    names = sorted({one.machine.name for one in latencies})
    weights = _weights(latencies)
    sizes = [len(CLASSES), 1, 1, 1, 1, len(families), len(names), len(names)]

    def unpacked(vector: Floats) -> Fit:
        shares, memory, delay, overhead, slope, family, machine, host = np.split(vector, np.cumsum(sizes)[:-1])
        return Fit(
            shares,
            float(memory[0]),
            float(delay[0]),
            float(overhead[0]),
            float(slope[0]),
            dict(zip(families, family, strict=True)),
            dict(zip(names, machine, strict=True)),
            dict(zip(names, host, strict=True)),
        )

    def residuals(vector: Floats) -> Floats:
        found = unpacked(vector)
        errors = np.array([np.log(found.seconds(one) / one.seconds) for one in latencies]) / ERROR_SPREAD
        robust = np.sign(errors) * np.sqrt(2 * (np.sqrt(1 + errors**2) - 1))
        family, machine, host = np.split(vector, np.cumsum(sizes)[:-1])[5:]
        common = (vector[: len(spreads)] - start[: len(spreads)]) / spreads
        penalties = (common, family / FAMILY_SPREAD, machine / MACHINE_SPREAD, host / HOST_SPREAD)
        return np.concatenate([weights * robust, *penalties])

    spreads = np.array([*np.ones(len(CLASSES) + 1), DELAY_SPREAD, DELAY_SPREAD])
    start = np.concatenate([np.log([START[name] for name in (*CLASSES, *BOUNDS)]), [-0.5], np.zeros(sum(sizes[5:]))])
    low, high = np.full(len(start), -5.0), np.full(len(start), 5.0)
    low[: len(CLASSES)], high[: len(CLASSES)] = np.log(SHARES)
    for index, limits in enumerate(BOUNDS.values(), len(CLASSES)):
        low[index], high[index] = np.log(limits)
    return unpacked(least_squares(residuals, start, bounds=(low, high), xtol=1e-5, ftol=1e-5).x)


def left_out(latencies: Sequence[Latency], group: Callable[[Latency], Hashable]) -> dict[str, float]:
    """Relative error of every latency's estimate by a fit that saw none of its group: estimated over measured, less one."""
    found = {}
    for name in dict.fromkeys(map(group, latencies)):
        seen = [one for one in latencies if group(one) != name]
        if seen:
            blind = fit(seen)
            found |= {
                one.name: blind.seconds(one) / one.seconds - 1 for one in latencies if group(one) == name
            }  # fmt: skip
    return found


def _weights(latencies: Iterable[Latency]) -> Floats:
    groups = [(one.model, one.machine.name) for one in latencies]
    counts = np.array([groups.count(group) for group in groups])
    return np.array([one.weight for one in latencies]) / counts**0.25


def calibrations(
    latencies: Sequence[Latency], machines: Iterable[Machine], power_share: float | None = None
) -> dict[str, Calibration]:
    """A calibration of every machine, by name, and how far off it is on what a fit did not see.

    Where a machine or its family was measured that is the error on models that were left out of the fit; where none was, on
    families that were.

    Args:
        latencies: all that are known.
        machines: whose calibrations are wanted, measured or not.
        power_share: energy over board power times latency, if that is known.
    """
    found = fit(latencies)
    of_models = left_out(latencies, lambda one: one.model)
    of_families = left_out(latencies, lambda one: one.machine.family or one.machine.name)
    calibrated = {}
    for machine in machines:
        if promise(machine) == 0.0 and machine.name not in found.machines and machine.family not in found.families:
            continue  # nothing is known of it, not even its power
        own = [one.name for one in latencies if one.machine.name == machine.name]
        family = [one.name for one in latencies if one.machine.family == machine.family]
        is_seen = bool(own or family)
        errors = np.abs(list((of_models if is_seen else of_families).values()))
        calibrated[machine.name] = Calibration(
            machine=machine.name,
            efficiencies=_efficiencies(found, machine),
            runs=own or family,
            relative_error=round(float(np.median(errors)), 4),
            largest_relative_error=round(float(errors.max()), 4),
            launch_overhead_s=float(f"{found.host_s(machine):.4g}"),
            power_share=power_share,
            basis=_basis(own, family, machine),
            errors={name: round(of_models[name], 4) for name in own if name in of_models},
            left_out=f"{'models' if is_seen else 'GPU families'} left out of {len(latencies)} published latencies",
        )
    return calibrated


def _efficiencies(found: Fit, machine: Machine) -> dict[str, Efficiency]:
    reached: dict[str, float] = dict(zip((*CLASSES, "other"), found.reached(machine).tolist(), strict=True))
    memory, delay = float(np.exp(found.memory)), float(f"{np.exp(found.latency_s):.4g}")
    return {
        name: Efficiency(compute=round(reached.get(name, 1.0), 4), memory=round(memory, 4), latency_s=delay)
        for name in OPERATOR_CLASSES
    }


def _basis(own: Sequence[str], family: Sequence[str], machine: Machine) -> str:
    if own:
        return f"{len(own)} published latencies on this machine"
    if family:
        return f"{len(family)} published latencies on its family ({machine.family})"
    return "its peak FLOP/s a watt, since no latency of its family is published"


def power_share(energies: Sequence[tuple[Machine, float, float]]) -> float:
    """Median of joules over board power times seconds, of ``(machine, seconds, joules)`` that were measured together."""
    shares = [joules / (machine.power_w * seconds) for machine, seconds, joules in energies if machine.power_w]
    return round(float(np.median(shares)), 4)
