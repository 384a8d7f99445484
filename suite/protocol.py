"""How often a run is repeated, and when it stops.

    min_trials --> of every arm as many alike, its interval narrow enough, five rounds in a row --> done
               --> else one round more, and so on --> up to max_trials, for max_measuring_s

A machine that gets quiet late gets more trials: what those of a slower regime took is added to the time, up to as much again.
See `suite.probes.latency.Stopping`.
"""

from __future__ import annotations

from dataclasses import dataclass

from suite.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementProtocol:
    """Numbers of trials, tolerances as fractions, limits in seconds; see `suite.schema.ProtocolConfig`."""

    min_warmup_trials: int
    max_warmup_trials: int
    steady_tolerance: float
    min_trials: int
    max_trials: int
    target_relative_interval: float
    max_measuring_s: float

    def __post_init__(self) -> None:
        for low, high in (("min_warmup_trials", "max_warmup_trials"), ("min_trials", "max_trials")):
            smallest, largest = getattr(self, low), getattr(self, high)
            if not 1 <= smallest <= largest:
                raise ConfigError(f"protocol.{low}={smallest}: from 1 to protocol.{high}={largest} is accepted")
        for key in ("steady_tolerance", "target_relative_interval", "max_measuring_s"):
            if getattr(self, key) < 0:
                raise ConfigError(f"protocol.{key}={getattr(self, key)}: a number of at least 0 is needed")
