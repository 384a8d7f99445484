"""The memory peak is the decoder's: whatever makes the denoiser smaller leaves it where it is."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reports.findings.finding import Finding
from reports.memory import stage_peaks
from reports.style import readable
from reports.units import TIMES, quantity, ratio

if TYPE_CHECKING:
    from reports.runs import Runs

ORDER, TITLE = 40, "Decoding sets the memory peak"
MIN_RATIO = 1.05
THRESHOLD = f"1.05{TIMES} any other stage"


def find(runs: Runs) -> Iterator[Finding]:
    """Runs whose decode stage needs more than all others."""
    peaks = stage_peaks(runs)
    if peaks.empty:
        return
    stages = peaks[peaks["stage"] != "generate"]
    for run_id, of_run in stages.groupby("run_id", sort=False):
        decode, others = (of_run[(of_run["stage"] == "decode") == wanted] for wanted in (True, False))
        if decode.empty or others.empty:
            continue
        peak, next_one = decode.iloc[0], others.loc[others["peak_bytes"].idxmax()]
        times = float(peak["peak_bytes"] / next_one["peak_bytes"])
        if times >= MIN_RATIO:
            yield Finding(
                str(run_id),
                times,
                f"decode peaks at {quantity(peak['peak_bytes'], 'bytes')} of {peak['counter']}, {ratio(times)} of "
                f"{readable(next_one['stage'])}'s {quantity(next_one['peak_bytes'], 'bytes')}.",
            )
