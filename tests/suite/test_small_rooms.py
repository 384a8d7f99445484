"""Clock, protocol, environment and progress.

Names for the mirror: suite.clock, suite.protocol, suite.environment, suite.progress, suite.errors, suite.complaints,
suite.schema, suite.build, suite.profiling.
"""

from __future__ import annotations

import json
import time

import pytest
from toy import quick_protocol

from suite.clock import HostClock, clock_for
from suite.environment import capture
from suite.errors import ConfigError


def test_the_host_clock_measures_seconds() -> None:
    clock = clock_for("cpu")
    assert isinstance(clock, HostClock)
    before, start, inside = time.perf_counter(), clock.mark(), time.perf_counter()
    while time.perf_counter() - inside < 0.01:
        pass
    over, end, after = time.perf_counter(), clock.mark(), time.perf_counter()
    clock.synchronize()
    nanosecond = 1e-9  # the marks are whole ones
    assert over - inside - nanosecond <= clock.elapsed_s(start, end) <= after - before + nanosecond


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"min_trials": 0}, r"protocol\.min_trials=0"),
        ({"min_trials": 9}, r"protocol\.max_trials=4"),
        ({"min_warmup_trials": 4}, r"protocol\.min_warmup_trials=4"),
        ({"max_measuring_s": -1}, r"protocol\.max_measuring_s=-1"),
    ],
)
def test_a_protocol_that_cannot_be_followed_is_refused(changes: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        quick_protocol(**changes)


def test_the_environment_is_plain_data_and_names_what_ran() -> None:
    import torch

    found = capture("cpu")
    assert json.loads(json.dumps(found)) == found
    assert found["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0], "a build's label may be missing"
    assert {"diffusers", "transformers"} <= set(found["packages"]), "a peak is of the versions that it was found with"
    assert found["torch"]["num_threads"] == torch.get_num_threads()
    assert found["gpu"] is None
    assert found["cpu"]["memory_bytes"] > 2**30
