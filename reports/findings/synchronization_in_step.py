"""The host reads values from tensors in every step: on a GPU it waits there until the device has nothing left to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reports.findings.finding import Finding
from reports.style import readable
from suite.stage import STEP_STAGES
from suite.units import quantity

if TYPE_CHECKING:
    from reports.runs import Runs

ORDER, TITLE = 20, "Synchronisation in every step"
MIN_PER_STEP = 1.0
THRESHOLD = "1 a step"
READS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal")
"""Operators whose result the host must know before it goes on: ``item()``, sizes that depend on values."""


def find(runs: Runs) -> Iterator[Finding]:
    """Readings of each run in the stage of its loop; where a device was profiled, how long it was waited for."""
    waited = _waits(runs)
    rows = runs.operators_by_name
    rows = rows[rows["operator"].isin(READS) & rows["stage"].isin(STEP_STAGES) & (rows["num_steps"] > 0)]
    rows = rows.assign(per_step=rows["calls"] / rows["num_steps"])
    for run_id, of_run in rows.groupby("run_id", observed=True, sort=False):
        per_step = float(of_run["per_step"].sum())
        if per_step >= MIN_PER_STEP:
            most = of_run.loc[of_run["per_step"].idxmax()]
            where = "between the parts" if most["is_between_parts"] else "inside a part"
            yield Finding(
                str(run_id),
                per_step,
                f"{per_step:.3g} values are read from tensors in a {readable(most['stage'])}, most by {most['operator']} "
                f"{where}; {waited.get(run_id, 'a GPU would be waited for')}.",
            )


def _waits(runs: Runs) -> dict[str, str]:
    """Of each run that was profiled on a device, how often and how long a step waits for it."""
    activity = runs.device_activity
    activity = activity[activity["stage"].isin(STEP_STAGES)]
    means = activity.groupby("run_id", observed=True)[["num_synchronizations", "synchronization_s"]].mean()
    return {
        str(run_id): f"the host waits {row['num_synchronizations']:.3g} times, "
        f"{quantity(row['synchronization_s'], 's')}"
        for run_id, row in means.iterrows()
    }
