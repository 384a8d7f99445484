"""Joules that the board counts against its power, sampled meanwhile; and against themselves over twice the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.gpu_study.checks.setting import Setting, Verdict, middle, warm, within

QUESTION = "Are the joules of a generation what the sampled power says, and the same over twice the span?"
SPAN_S = 3.0
SAMPLING_S = 0.05


def check(setting: Setting) -> dict[str, Verdict]:
    from suite.errors import UnavailableError
    from suite.probes.energy import counter_for

    subject = setting.subject()
    try:
        with counter_for(setting.device) as counter, warm(subject):
            return _counted(subject, counter)
    except UnavailableError as error:
        return setting.cannot_tell(str(error))


def _counted(subject: Any, counter: Any) -> dict[str, Verdict]:
    with _sampled(counter) as watts:
        joules, seconds, number = _span(subject, counter, SPAN_S)
    twice, _, twice_number = _span(subject, counter, 2 * SPAN_S)
    again = within(
        "joules of a generation", joules / number, twice / twice_number, 0.05, unit="J", watts=joules / seconds
    )
    if not watts:
        return {"power": Verdict(None, "Not told: power is not told here."), "span": again}
    power = within("joules", joules, middle(watts) * seconds, 0.10, unit="J", num_samples=len(watts), seconds=seconds)
    return {"power": power, "span": again}


def _span(subject: Any, counter: Any, least_s: float) -> tuple[float, float, int]:
    """Joules and seconds of so many generations in a row."""
    before, start, number = counter.energy_j(), time.monotonic(), 0
    while number == 0 or time.monotonic() - start < least_s:
        subject.generate()
        subject.clock.synchronize()
        number += 1
    return counter.energy_j() - before, time.monotonic() - start, number


@contextmanager
def _sampled(counter: Any) -> Iterator[list[float]]:
    """Watts, sampled in a thread while this block runs."""
    watts: list[float] = []
    done = threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLING_S):
            if (now := counter.state().get("power_w")) is not None:
                watts.append(now)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield watts
    finally:
        done.set()
        thread.join()
