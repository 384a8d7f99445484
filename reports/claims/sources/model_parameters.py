"""Parameters of the models as published: the numbers that the inventory stands beside, judged."""

from __future__ import annotations

from collections.abc import Iterator

from reports.claims.architecture import every_published, published
from reports.claims.claim import Claim, Seen, Source
from reports.claims.evidence import Evidence, Reading


def _source() -> Source:
    """A claim for each way in which the numbers were seen, since that is told claim by claim."""
    by_seen: dict[Seen, dict[str, float | list[float]]] = {}
    for (workload, part), found in every_published().items():
        by_seen.setdefault(found.seen, {})[f"{workload} {part}"] = found.parameters
    claims = {f"parameters_{seen}": _claim(seen, values) for seen, values in by_seen.items()}
    return Source(title="Parameters of the published models", claims=claims)


def _claim(seen: Seen, values: dict[str, float | list[float]]) -> Claim:
    return Claim(
        says="parameters", value=dict(values), unit="parameters", seen=seen, tolerance=0.15,
        checked_by="parameters of the parts as built; papers round to one or two digits",
        command="python run.py study=workload_inventory",
    )  # fmt: skip


SOURCE = _source()


def _parameters(evidence: Evidence, case: str) -> Iterator[Reading]:
    workload, part = case.split(" ", 1)
    wanted = published(workload, part)
    for run in evidence.select(workload=workload)[:1]:
        parts = run.record.workload.parts
        names = (wanted.of if wanted else ()) or (part,)
        if all(name in parts for name in names):
            ours = float(sum(parts[name].num_parameters for name in names))
            yield Reading(value=ours, basis="counted", run_ids=(run.run_id,), note=(wanted and wanted.note) or "")


parameters_authors = parameters_computed = parameters_recalled = _parameters
