"""What several test folders share: the project's root, and smoke-sized workloads built once a session."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

# Test processes run side by side, one a core: threads of their own would wait for each other (38 s became 183 s).
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was skipped and why, one line a reason."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    if reasons:
        terminalreporter.section("skipped")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:4d}  {reason}")


@pytest.fixture(scope="session")
def compose() -> Callable[..., tuple]:
    """Compose a configuration as the command line does: ``compose("workload=parti", ...) -> (config, choices)``."""
    from suite.composition import chosen

    return lambda *overrides: chosen(overrides)


@pytest.fixture(scope="session")
def experiment(compose: Callable[..., tuple]) -> Callable[..., object]:
    """Build an experiment from overrides, on the CPU."""
    from suite.build import build

    return lambda *overrides: build(*compose("device=cpu", *overrides))


@pytest.fixture(scope="session")
def smoke_workload(experiment: Callable) -> Callable:
    """A smoke-sized workload by name. Shared: a test that changes it must change it back."""
    return cache(lambda name: experiment(f"workload={name}").make_workload())


@pytest.fixture(scope="session")
def float64_workload(experiment: Callable) -> Callable:
    """By name, the workload of `smoke_workload` with the same weights and noise in float64: what its outputs are held to."""
    from optimizations.exactness import cast_to_float64

    return cache(lambda name: cast_to_float64(experiment(f"workload={name}").make_workload()))


@pytest.fixture(scope="session")
def float64_output(float64_workload: Callable) -> Callable:
    """By name, what that workload gives as it is."""
    return cache(lambda name: float64_workload(name).generate())
