"""Published GPU measurements as claims: a time, a peak or an energy is what a simulation of the same run says it is."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportCallIssue=false

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from reports.claims.claim import Claim, Source
from reports.claims.evidence import Reading
from reports.published_gpu import BAND, GIB, PANELS, published_gpu, quantity_of
from suite.published_gpu import published_rows
from suite.units import is_number

if TYPE_CHECKING:
    from reports.claims.evidence import Evidence

SAYS = {
    "latency": "A generation, or one step of it, took",
    "energy": "A generation took",
    "allocated": "The peak of allocated memory was",
    "reserved": "The peak of reserved memory was",
    "device": "The peak of the device's memory was",
    "weights": "Weights took",
}
UNITS = {"s": ("s", 1.0), "bytes": ("GiB", GIB), "j": ("J", 1.0)}
"""Of a claim, by the base unit of its quantity, and how many of that it is."""


def _source() -> Source:
    claims = {}
    for quantity, base in PANELS.items():
        unit, size = UNITS[base]
        claims[quantity] = Claim(
            says=SAYS[quantity],
            value={row.id: row.amount / size for row in published_rows() if quantity_of(row) == quantity},
            unit=unit,
            seen="authors",
            tolerance=BAND[quantity],
            checked_by="the simulation of the same run on the same machine; suite/published_gpu.yaml has each one's source",
            command="python run.py study=published_gpu",
        )
    return Source(title="Published measurements of diffusion pipelines on GPUs", claims=claims)


SOURCE = _source()


def _check(quantity: str, evidence: Evidence, case: str) -> Iterator[Reading]:
    """The row of that id, where its run is among these; a time is that of a fit that had not seen the model, where known."""
    frame = published_gpu(evidence.runs)
    own = {one.run_id for one in evidence.cases}
    size = UNITS[PANELS[quantity]][1]
    for row in () if frame.empty else frame[(frame["id"] == case) & frame["run_id"].isin(own)].to_dict("records"):
        unseen = row["left_out_ratio"]
        ratio = unseen if is_number(unseen) else row["ratio"]
        yield Reading(
            value=ratio * row["published"] / size,
            basis=evidence.time_basis if quantity in ("latency", "energy") else evidence.memory_basis,
            run_ids=(row["run_id"],),
            incomparable=None if row["counts"] else row["note"] or f"settings are not sure: {row['why_sure']}",
            note=row["note"] if row["counts"] else "",
        )


def __getattr__(name: str) -> Callable[[Evidence, str], Iterator[Reading]]:
    if name not in SAYS:
        raise AttributeError(name)
    return partial(_check, name)
