"""The kernel's counters of load, from files with known answers, and None where there are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from suite.machine_load import Counters, between, num_cores, read, state


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    root = tmp_path / "proc"
    for thread, waited_ns in (("1", 1_500_000_000), ("2", 250_000_000)):
        folder = root / "self" / "task" / thread
        folder.mkdir(parents=True)
        (folder / "schedstat").write_text(f"123 {waited_ns} 7\n")
    ticks = os.sysconf("SC_CLK_TCK")
    fields = [seconds * ticks for seconds in (1000, 100, 200, 5000, 50, 1, 2, 300)]
    (root / "stat").write_text(f"cpu  {' '.join(map(str, fields))} 7777 0\ncpu0 1 2 3\n")
    (root / "loadavg").write_text("3.25 1.00 0.50 2/99 1234\n")
    (root / "pressure").mkdir()
    (root / "pressure" / "cpu").write_text(
        "some avg10=12.50 avg60=1.00 avg300=0.50 total=99\nfull avg10=0.00 total=0\n"
    )
    return root


def test_threads_that_waited_are_summed_and_own_time_is_nobody_elses(proc: Path) -> None:
    own = os.times()
    found = read(proc)
    assert found.waited_s == pytest.approx(1.75)
    # user, nice, system, irqs and steal; neither idle nor waiting for a disk, and guests are in user already
    assert found.others_s == pytest.approx(1000 + 100 + 200 + 1 + 2 + 300 - own.user - own.system, abs=1.0)


def test_what_happened_is_the_difference_of_two_readings() -> None:
    before, after = Counters(10.0, 1.0, 100.0), Counters(14.0, 3.5, 106.0)
    assert between(before, after) == {"core_wait_s": 2.5, "others_cores": 1.5}
    assert between(before, Counters(14.0, 0.5, 99.0)) == {"core_wait_s": 0.0, "others_cores": 0.0}
    assert between(before, Counters(14.0, None, None)) == {}


def test_the_state_is_what_the_files_say(proc: Path, tmp_path: Path) -> None:
    for core, khz in (("cpu0", 2_000_000), ("cpu1", 3_000_000)):
        folder = tmp_path / "cpus" / core / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(f"{khz}\n")
    found = state("cpu", proc=proc, cpus=tmp_path / "cpus")
    assert (found.load_average, found.cpu_pressure, found.cpu_clock_hz) == (3.25, 0.125, 2.5e9)
    assert found.gpu is None


def test_what_no_file_tells_is_none(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert (found.waited_s, found.others_s) == (None, None)
    told = state("cpu", proc=tmp_path, cpus=tmp_path)
    assert (told.load_average, told.cpu_pressure, told.cpu_clock_hz) == (None, None, None)
    (tmp_path / "loadavg").write_text("no number\n")
    assert state("cpu", proc=tmp_path, cpus=tmp_path).load_average is None


def test_cores_are_those_that_this_process_may_use() -> None:
    assert 1 <= num_cores() <= (os.cpu_count() or 1)
