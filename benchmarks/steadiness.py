"""How often disturbances of a series of trials are found, how often there was none, and what intervals and verdicts are worth.

    python benchmarks/steadiness.py [--draws 1000]
    python benchmarks/steadiness.py --record     # on a quiet machine: new series, some minutes

Known disturbances are planted into real series of quiet trials (`steadiness_series.json`): windows in the order in which
they were taken, and the same shuffled, in which nothing but the values is real. Found means: `suite.steadiness.assess` does not
call the window steady. Coverage is that of the interval of the trials that count, for trials drawn from a series whose median
is known, of a fixed number and with the protocol's own rule of stopping. Verdicts are those of two arms that are the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from suite.probes.latency import Stopping  # noqa: E402
from suite.protocol import MeasurementProtocol  # noqa: E402
from suite.record import Sample  # noqa: E402
from suite.statistics import median_interval, paired_ratio, verdict  # noqa: E402
from suite.steadiness import assess, pairs_carry  # noqa: E402

SERIES = Path(__file__).with_name("steadiness_series.json")
SEED = 20261128
SIZES = (10, 15, 20, 30)
FACTOR = 1.5
WORKLOADS = ("stable_diffusion", "animatediff", "muse", "flux")
NUM_RECORDED = 60
PROTOCOL = MeasurementProtocol(**yaml.safe_load((ROOT / "conf" / "protocol" / "standard.yaml").read_text()))

Times = NDArray[np.float64]
Random = np.random.Generator


def _step(times: Times, random: Random) -> Times:
    """A fifth of the trials, somewhere, takes longer."""
    length = max(2, round(len(times) / 5))
    start = random.integers(0, len(times) - length + 1)
    return _longer(times, slice(start, start + length))


def _slow_first_half(times: Times, random: Random) -> Times:
    del random
    return _longer(times, slice(0, len(times) // 2))


def _drift(times: Times, random: Random) -> Times:
    """Up or down by the factor from the first to the last."""
    rise = np.geomspace(1, FACTOR, len(times))
    return times * (rise if random.random() < 0.5 else rise[::-1])


def _two_regimes(times: Times, random: Random) -> Times:
    """Half of the trials, at random places."""
    return _longer(times, random.permutation(len(times))[: len(times) // 2])


def _one_outlier(times: Times, random: Random) -> Times:
    disturbed = times.copy()
    disturbed[random.integers(len(times))] *= 3
    return disturbed


def _longer(times: Times, which: slice | NDArray[np.int_]) -> Times:
    disturbed = times.copy()
    disturbed[which] *= FACTOR
    return disturbed


DISTURBANCES: Mapping[str, Callable[[Times, Random], Times]] = {
    "nothing (false alarms)": lambda times, random: times,
    "one outlier of 3x (false alarms)": _one_outlier,
    "step of 1.5x, a fifth of the trials": _step,
    "slow first half, 1.5x": _slow_first_half,
    "drift of 1.5x": _drift,
    "two regimes, 1.5x, in random order": _two_regimes,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000, help="of each kind and number of trials")
    parser.add_argument("--record", action="store_true", help="write new series instead")
    options = parser.parse_args()
    if options.record:
        SERIES.write_text(_document(list(recorded())))
        return
    series = [np.array(one["seconds"]) for one in json.loads(SERIES.read_text())["series"]]
    random = np.random.default_rng(SEED)
    for head, rows in (("found", detection), ("share", confidence)):
        sys.stdout.write(f"{_table(head, SIZES, rows(series, options.draws, random))}\n")


def detection(series: Sequence[Times], draws: int, random: Random) -> Iterator[tuple[str, list[float]]]:
    """By disturbance, the share of windows of each size that are not called steady."""
    for name, disturb in DISTURBANCES.items():
        for shuffled in (False, True):
            found = [
                np.mean([not assess(disturb(_window(series, size, random, shuffled=shuffled), random)).is_steady
                         for _ in range(draws)])
                for size in SIZES
            ]  # fmt: skip
            yield f"{name}{', shuffled' if shuffled else ''}", [float(share) for share in found]


def _window(series: Sequence[Times], size: int, random: Random, *, shuffled: bool) -> Times:
    whole = series[random.integers(len(series))]
    start = random.integers(0, len(whole) - size + 1)
    window = whole[start : start + size]
    return random.permutation(window) if shuffled else window


def confidence(series: Sequence[Times], draws: int, random: Random) -> Iterator[tuple[str, list[float]]]:
    """Coverage of intervals, and verdicts that are wrong."""
    yield "95 % intervals that hold the median", [_coverage(series, draws, random, _fixed(size)) for size in SIZES]
    yield "the same, stopped by the protocol", [_coverage(series, draws, random, _stopped)]
    yield "FASTER or SLOWER between two equal arms", [_wrong(series, draws, random, size) for size in SIZES]


def _fixed(size: int) -> Callable[[Callable[[int], Times]], Times]:
    return lambda draw: draw(size)


def _stopped(draw: Callable[[int], Times]) -> Times:
    """As many trials as the protocol would have taken."""
    drawn = draw(PROTOCOL.max_trials)
    samples = [
        Sample(metric="latency_s", value=float(value), stage="generate", trial=n) for n, value in enumerate(drawn)
    ]
    stopping = Stopping(PROTOCOL, "cpu")
    for count in range(PROTOCOL.min_trials, len(drawn)):
        if stopping.after(samples[:count], 0.0):
            return drawn[:count]
    return drawn


def _coverage(
    series: Sequence[Times], draws: int, random: Random, take: Callable[[Callable[[int], Times]], Times]
) -> float:
    """Trials are drawn one by one from a series, which then is all there is: its median is the truth."""
    held = 0
    for _ in range(draws):
        whole = series[random.integers(len(series))]
        values = take(lambda size, whole=whole: random.choice(whole, size))
        interval = median_interval(values[assess(values).counted])
        held += interval.low <= np.median(whole) <= interval.high
    return held / draws


def _wrong(series: Sequence[Times], draws: int, random: Random, size: int) -> float:
    wrong = 0
    for _ in range(draws):
        whole = series[random.integers(len(series))]
        one, other = random.choice(whole, size), random.choice(whole, size)
        wrong += pairs_carry(one, other) and verdict(paired_ratio(one, other)) in ("FASTER", "SLOWER")
    return wrong / draws


def _table(head: str, sizes: Sequence[int], rows: Iterator[tuple[str, list[float]]]) -> str:
    lines = [f"| {head} | {' | '.join(f'{size} trials' for size in sizes)} |", "| --- |" + " ---: |" * len(sizes)]
    for name, shares in rows:
        cells = [f"{share:.1%}" for share in shares] + [""] * (len(sizes) - len(shares))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def recorded() -> Iterator[Mapping[str, object]]:
    """A series of quiet trials of each workload, in the order in which they were taken."""
    limits = [f"protocol.{name}={NUM_RECORDED}" for name in ("min_trials", "max_trials")]
    with tempfile.TemporaryDirectory() as folder:
        for workload in WORKLOADS:
            words = ["device=cpu", "device.num_threads=1", "scale=smoke", "probe=[latency]", "optimization=[]", *limits]
            words += [f"workload={workload}", "protocol.max_measuring_s=600", f"output_dir={folder}", "~machine"]
            subprocess.run([sys.executable, "run.py", *words], cwd=ROOT, check=True)
        for path in sorted(Path(folder).glob("*/record.json")):
            record = json.loads(path.read_text())
            trials = [s for s in record["samples"] if s["metric"] == "latency_s" and s["stage"] == "generate"]
            trials = [sample["value"] for sample in trials if not sample.get("warmup")]
            yield {
                "workload": record["workload"]["name"],
                "cpu": record["environment"]["cpu"]["name"],
                "seconds": trials,
            }


def _document(series: Sequence[Mapping[str, object]]) -> str:
    return '{"series": [\n' + ",\n".join(json.dumps(one) for one in series) + "\n]}\n"


if __name__ == "__main__":
    main()
