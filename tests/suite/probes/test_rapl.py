"""RAPL counters read from a made-up /sys/class/powercap: which zones count, what a wrap is, what cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from suite.errors import UnavailableError
from suite.probes.rapl import Rapl


def zone(powercap: Path, number: str, name: str, microjoules: int, wraps_at: int = 1_000_000_000) -> Path:
    folder = powercap / f"intel-rapl:{number}"
    folder.mkdir()
    for file, value in {"name": name, "energy_uj": microjoules, "max_energy_range_uj": wraps_at}.items():
        (folder / file).write_text(f"{value}\n")
    return folder


def count(folder: Path, microjoules: int) -> None:
    (folder / "energy_uj").write_text(f"{microjoules}\n")


def test_packages_are_added_up_and_other_zones_are_not(tmp_path: Path) -> None:
    packages = [zone(tmp_path, "0", "package-0", 5_000_000), zone(tmp_path, "1", "package-1", 7_000_000)]
    others = [zone(tmp_path, "0:0", "core", 0), zone(tmp_path, "2", "psys", 0)]
    counter = Rapl(tmp_path)
    start = counter.energy_j()
    count(packages[0], 6_500_000)
    count(packages[1], 7_250_000)
    for other in others:
        count(other, 900_000_000)
    assert counter.energy_j() - start == pytest.approx(1.5 + 0.25)
    assert counter.energy_j() - start == pytest.approx(1.75), "nothing was drawn since"
    assert counter.state() == {}


def test_a_counter_that_wraps_goes_on_counting(tmp_path: Path) -> None:
    package = zone(tmp_path, "0", "package-0", 262_143_000_000, wraps_at=262_143_328_850)
    counter = Rapl(tmp_path)
    start = counter.energy_j()
    count(package, 1_671_150)
    assert counter.energy_j() - start == pytest.approx(2.0), "0.32885 J to the end of its range, and 1.67115 J after it"
    count(package, 3_671_150)
    assert counter.energy_j() - start == pytest.approx(4.0)


def test_a_machine_without_packages_says_so(tmp_path: Path) -> None:
    zone(tmp_path, "0", "psys", 1)
    with pytest.raises(UnavailableError, match="no RAPL package in"):
        Rapl(tmp_path).energy_j()
    with pytest.raises(UnavailableError, match="no RAPL package in"):
        Rapl(tmp_path / "nowhere").energy_j()


def test_a_counter_that_only_root_may_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = zone(tmp_path, "0", "package-0", 1)
    read = Path.read_text

    def guarded(self: Path, *args: object) -> str:  # permissions would not stop a test that root runs
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(self))
        return read(self)

    monkeypatch.setattr(Path, "read_text", guarded)
    with pytest.raises(UnavailableError, match=f"RAPL cannot be read: Permission denied, {package}/energy_uj"):
        Rapl(tmp_path).energy_j()
