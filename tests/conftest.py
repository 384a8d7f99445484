"""What several test folders share: the project's root, and smoke-sized workloads built once a session."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Generator
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest

# Test processes run side by side, one a core: threads of their own would wait for each other (38 s became 183 s). Where a test
# needs two, or somebody asks for more, a thread that waits sleeps instead of taking a core from the one that it waits for.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

ROOT = Path(__file__).resolve().parent.parent


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was skipped and why, one line a reason."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    if reasons:
        terminalreporter.section("skipped")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:4d}  {reason}")


NUM_LEFT = pytest.StashKey[int]()
"""Tests marked slow that were deselected, in the process that reports."""


def pytest_deselected(items: list[pytest.Item]) -> None:
    stash = items[0].config.stash
    stash[NUM_LEFT] = stash.get(NUM_LEFT, 0) + sum(item.get_closest_marker("slow") is not None for item in items)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist tells the process that reports: each has collected all tests."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["num_left"] = session.config.stash.get(NUM_LEFT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    if output := getattr(node, "workeroutput", None):  # none if it crashed
        node.config.stash[NUM_LEFT] = output["num_left"]  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line, after pytest's own: what these tests do not show."""
    if (left := config.stash.get(NUM_LEFT, 0)) and not hasattr(config, "workeroutput"):
        config.get_terminal_writer().line(f"Left for `make test-slow`, since they take minutes: {left}")


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

    once = cache(chosen)
    return lambda *overrides: deepcopy(once(overrides))


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


@pytest.fixture(scope="session")
def smoke_output(smoke_workload: Callable) -> Callable:
    """What a smoke-sized workload generates as it is, by name."""
    return cache(lambda name: smoke_workload(name).generate())


SHORT = {
    "stable_diffusion": ("request.num_inference_steps=2",),
    "animatediff": ("request.num_inference_steps=2", "request.num_frames=4"),
    "parti": ("request.height=64", "request.width=64"),
}
"""Words for few steps, or 16 tokens: steps repeat, which is all that sums over them have to show."""


@pytest.fixture(scope="session")
def short_workload(experiment: Callable) -> Callable:
    """One of SHORT, by name. Shared: a test that changes it must change it back."""
    return cache(lambda name: experiment(f"workload={name}", *SHORT[name]).make_workload())


@pytest.fixture(scope="session")
def short_profile(experiment: Callable, short_workload: Callable, tmp_path_factory: pytest.TempPathFactory) -> Callable:
    """What is attributed of one generation of these, by name and optimization: ``short_profile("parti", "[]")``."""
    from suite.subject import Subject

    @cache
    def attributed(name: str, stack: str) -> object:
        run = experiment(f"optimization={stack}")
        scratch = tmp_path_factory.mktemp("profile")
        return Subject(short_workload(name), {"stack": run.stack}, run.protocol, scratch).profile().attribution

    return attributed
