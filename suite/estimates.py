"""Estimated times, as reports and the terminal tell of them: on which machine, how far off they may be, and at what price.

What a time is made of: `suite.roofline`. How its error is found: `suite.calibration`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import msgspec

from suite.machine import RECALLED, Machine, machines
from suite.record import Record
from suite.units import percent

DEFAULT_MACHINE = "a100_80gb"
"""What stands for a run that names no machine."""


@cache
def known_machines() -> Mapping[str, Machine]:
    return machines()


def own_machine(record: Record) -> Machine | None:
    """The machine that a run named, with the figures and the calibration that it had then."""
    facts = record.environment.get("machine")
    return None if facts is None else msgspec.convert(facts, Machine)


def chosen_machine(record: Record) -> Machine:
    """The machine that a run named, or else the default one."""
    return own_machine(record) or known_machines()[DEFAULT_MACHINE]


def error_words(machine: Machine) -> str:
    """How far off an estimate is on this machine, as far as anybody knows."""
    calibration = machine.calibration
    if calibration is None:
        return "unknown (roofline: a lower bound)"
    if calibration.relative_error is None:
        return "unknown (calibrated on one run)"
    seen = calibration.left_out or f"{len(calibration.runs)} measured runs"
    return (
        f"\N{PLUS-MINUS SIGN}{percent(calibration.relative_error)} (at worst "
        f"{percent(calibration.largest_relative_error)}) on {seen}"
    )


def unknown_words(record: Record, machine: Machine) -> str:
    """Why a simulated run has no estimated time on a machine, as a clause."""
    precision = (record.config.get("device") or {}).get("precision")
    if machine.bandwidth_bytes_per_s is None:
        return "its bandwidth is not known"
    if machine.peak_flops_per_s.get(precision or "") is None:
        return f"its peak for {precision} is not known"
    return "some operators run on its host or cross the link to it, and the speed of these is not known"


def energy_j(machine: Machine, seconds: float) -> float | None:
    """Joules of so many seconds of a machine's work: at the share of its board's power that generations are known to draw, at
    all of it where that is not known; None where nobody states its power."""
    share = machine.calibration.power_share if machine.calibration else None
    return None if machine.power_w is None else seconds * machine.power_w * (share or 1.0)


def price_usd(machine: Machine, seconds: float) -> float | None:
    """What so many seconds of a machine cost; None where nobody states its price."""
    return None if machine.price_per_hour_usd is None else seconds / 3600 * machine.price_per_hour_usd


def price_source(machine: Machine) -> str:
    """Where a price was read and when; what nobody looked up is called reported."""
    source = machine.sources.get("price_per_hour_usd", "")
    if machine.price_per_hour_usd is None:
        return "unknown"
    if machine.is_recalled("price_per_hour_usd"):
        return f"reported, not verified{source.removeprefix(RECALLED)}"
    return source
