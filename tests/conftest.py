"""What several test folders share: the project's root, and smoke-sized workloads built once a session."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Generator
from functools import cache
from pathlib import Path

import pytest

# Test processes run side by side, one a core: threads of their own would wait for each other (38 s became 183 s).
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Keep what is there before a test out of every collection of garbage in it.

    A run collects before each generation, and a process that has imported all of the models holds half a million objects:
    without this, more than half of the suite's time went into walking over them. What is frozen is still freed by count.
    """
    gc.collect()
    gc.freeze()
    return (yield)


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
