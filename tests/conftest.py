"""What several test folders share: the project's root, and smoke-sized workloads built once a session."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

# Test processes run side by side, one a core: threads of their own would wait for each other (38 s became 183 s).
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def compose() -> Callable[..., tuple]:
    """Compose a configuration as the command line does: ``compose("workload=parti", ...) -> (config, choices)``."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    import run  # noqa: F401 - registers the schema

    def composed(*overrides: str) -> tuple:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            whole = hydra_compose("config", list(overrides), return_hydra_config=True)
        choices = dict(whole.hydra.runtime.choices)
        OmegaConf.set_struct(whole, False)
        whole.pop("hydra")
        return whole, choices

    return composed


@pytest.fixture(scope="session")
def experiment(compose: Callable[..., tuple]) -> Callable[..., object]:
    """Build an experiment from overrides, on the CPU."""
    from suite.build import build

    return lambda *overrides: build(*compose("device=cpu", *overrides))


@pytest.fixture(scope="session")
def smoke_workload(experiment: Callable) -> Callable:
    """A smoke-sized workload by name. Shared: a test that changes it must change it back."""
    return cache(lambda name: experiment(f"workload={name}").make_workload())
