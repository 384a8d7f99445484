"""RAPL: the energy that a processor's packages have drawn, as Linux tells it under /sys/class/powercap.

Intel's counters, and AMD's, which the same driver shows under the same names. They count microjoules of whole packages,
whatever runs there, are renewed about every millisecond, and wrap. Most systems let only root read them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suite.errors import UnavailableError

POWERCAP = Path("/sys/class/powercap")


@dataclass
class Rapl:
    """Joules of all packages since the first reading.

    A zone named otherwise (core, uncore, dram) lies inside a package or beside it; psys holds the packages once more.
    """

    folder: Path = POWERCAP
    covers: str = "cpu_packages"
    _last: dict[Path, int] = field(default_factory=dict)
    _joules: float = 0.0

    def energy_j(self) -> float:
        """Right as long as no counter wraps twice between two readings, about half an hour apart at 100 W.

        Raises:
            UnavailableError: there is no package here, or it may not be read.
        """
        try:
            zones = [path for path in sorted(self.folder.glob("intel-rapl:*")) if _name(path).startswith("package")]
            if not zones:
                raise UnavailableError(f"no RAPL package in {self.folder}")
            for zone in zones:
                count, wraps_at = (int((zone / name).read_text()) for name in ("energy_uj", "max_energy_range_uj"))
                last = self._last.get(zone, count)
                self._joules += (count - last + (wraps_at if count < last else 0)) / 1e6
                self._last[zone] = count
        except OSError as error:
            raise UnavailableError(f"RAPL cannot be read: {error.strerror}, {error.filename}") from error
        return self._joules

    def state(self) -> dict[str, Any]:
        """RAPL tells nothing else."""
        return {}


def _name(zone: Path) -> str:
    return (zone / "name").read_text().strip()
