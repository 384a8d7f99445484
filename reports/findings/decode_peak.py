"""The memory peak is the decoder's: whatever makes the denoiser smaller leaves it where it is."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reports.findings.finding import Finding
from reports.memory import stage_peaks
from reports.style import readable
from suite.units import TIMES, quantity, ratio

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
    ranked = peaks[peaks["stage"] != "generate"].sort_values("peak_bytes", ascending=False, kind="stable")
    decode, others = ranked[ranked["stage"] == "decode"], ranked[ranked["stage"] != "decode"].drop_duplicates("run_id")
    both = decode.merge(others, on="run_id", suffixes=("", "_of_next"))
    both["times"] = both["peak_bytes"] / both["peak_bytes_of_next"]
    for row in both[both["times"] >= MIN_RATIO].to_dict("records"):
        yield Finding(
            row["run_id"],
            row["times"],
            f"decode peaks at {quantity(row['peak_bytes'], 'bytes')} of {row['counter']}, {ratio(row['times'])} of "
            f"{readable(row['stage_of_next'])}'s {quantity(row['peak_bytes_of_next'], 'bytes')}.",
        )
