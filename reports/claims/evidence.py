"""What checks look at: the runs of one setting (one device, one precision, one way to know times), role by role."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from reports.breakdown import all_totals
from reports.comparison import in_order

if TYPE_CHECKING:
    from reports.claims.claim import Number
    from reports.runs import Runs
    from suite.record import Record

PUBLISHED_SCALE = "paper"
FLASH, ORIGINAL = "flash_attention", "out_of_the_box"
BASELINES = {"baseline_attention": "over math attention", "eager_attention": "over attention written out"}
"""What "baseline attention" can mean: PyTorch's math kernel, which computes half precision in float32, or plain operators."""
Basis = Literal["measured", "estimated", "counted", "simulated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What runs say of a claim, the claim's words being read in one way."""

    value: Number
    basis: Basis
    """``measured``; ``estimated`` (for a machine that was not there); ``counted`` (FLOPs, lengths, parameters);
    ``simulated`` (live bytes of a run that did not happen).
    """
    run_ids: tuple[str, ...]
    words: str = ""
    """How the claim's words are read, where they can be read in several ways."""
    low: float | None = None
    high: float | None = None
    published: Number | None = None
    """The published number under this reading; None: the claim's own."""
    unit: str | None = None
    """Of both numbers under this reading; None: the claim's own."""
    incomparable: str | None = None
    """Why our number says nothing about the published one, as a clause; None where it does."""
    note: str = ""
    """What a reader should know beside the verdict, as a clause."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One finished run."""

    record: Record
    run_id: str
    group: str
    stack: str

    @property
    def workload(self) -> str:
        return self.record.workload.name

    @property
    def family(self) -> str:
        return self.record.workload.family or ""

    @property
    def request(self) -> Mapping[str, Any]:
        asked = self.record.config.get("request")
        return asked if isinstance(asked, Mapping) else self.record.request


class Evidence:
    """The finished runs of one setting; runs of other requests than the source's are left out of `select`.

    Attributes:
        setting: scale, execution, device or machine, and precision of all of them.
        runs: the frames that they come from, with other settings' runs.
        cases: the runs that are asked for.
        swept: all runs of the setting, for what grows with a request.
    """

    def __init__(
        self, runs: Runs, setting: tuple[Any, ...], swept: list[Case], cases: list[Case] | None = None
    ) -> None:
        self.runs, self.setting, self.swept = runs, setting, swept
        self.cases = swept if cases is None else cases

    @property
    def scale(self) -> str | None:
        return self.setting[0]

    @property
    def hardware(self) -> str | None:
        return self.setting[2]

    @property
    def precision(self) -> str | None:
        return self.setting[3]

    @property
    def time_basis(self) -> Basis:
        """How the seconds of `totals` are known."""
        return "estimated" if self.setting[1] == "simulate" else "measured"

    @property
    def memory_basis(self) -> Basis:
        return "simulated" if self.setting[1] == "simulate" else "measured"

    def select(
        self, *, workload: str | None = None, stack: str | None = None, family: str = "", media: str | None = None
    ) -> list[Case]:
        """Runs of a workload or family, with one stack, of one kind of output."""
        return [
            case for case in self.cases
            if workload in (None, case.workload) and stack in (None, case.stack)
            and case.family.startswith(family) and media in (None, case.record.workload.media)
        ]  # fmt: skip

    def asked_for(self, requests: Mapping[str, Mapping[str, Any]]) -> Evidence:
        """Without the runs whose request is not the one that a source's claims are about."""
        kept = [
            case for case in self.cases
            if all(case.request.get(key) == value for key, value in requests.get(case.workload, {}).items())
        ]  # fmt: skip
        return Evidence(self.runs, self.setting, self.swept, kept)

    def among(self, models: Collection[str]) -> Evidence:
        """With the runs of these workloads alone; all of them where none is named."""
        kept = [case for case in self.cases if not models or case.workload in models]
        return Evidence(self.runs, self.setting, self.swept, kept)

    def workloads_of(self, run_ids: Collection[str]) -> set[str]:
        """What was run in these runs."""
        return {case.workload for case in self.swept if case.run_id in run_ids}

    def pairs(self, baseline: str, **wanted: Any) -> Iterator[tuple[Case, Case]]:
        """(`baseline`, Flash Attention) runs that differ in nothing else."""
        flash = {case.group: case for case in self.select(stack=FLASH, **wanted)}
        for case in self.select(stack=baseline, **wanted):
            if case.group in flash:
                yield case, flash[case.group]

    def rows(self, case: Case) -> pd.DataFrame:
        """Operator totals of one run: stage, segment, kind, seconds, flops, bytes."""
        return _totals(self.runs).get(case.run_id, all_totals(self.runs).iloc[:0])

    def seconds(self, case: Case) -> float | None:
        """Time of a whole generation; None where nothing timed or estimated it."""
        rows = self.rows(case)
        return float(rows["seconds"].sum()) if len(rows) and rows["clock"].notna().all() else None

    def attention_calls(self, case: Case) -> pd.DataFrame:
        """The trace of attention calls of one run."""
        return _attention(self.runs, case.run_id)


def settings(runs: Runs) -> list[Evidence]:
    """The runs that have all their numbers, setting by setting."""
    records = {record.run_id: record for record in runs.records}
    frame = in_order(runs)
    frame = frame[frame["is_complete"]]
    where = frame["machine"].where(frame["execution"] == "simulate", frame["device_name"]).astype(object)
    keys = [frame["scale"], frame["execution"], where.where(where.notna(), None).rename("where"), frame["precision"]]
    found = []
    for setting, rows in frame.groupby(keys, sort=False, dropna=False):
        cases = [
            Case(records[run["run_id"]], run["run_id"], run["group"], records[run["run_id"]].label)
            for run in rows.to_dict("records")
        ]
        found.append(Evidence(runs, tuple(None if pd.isna(part) else part for part in setting), cases))
    return found


@lru_cache(maxsize=4)
def _totals(runs: Runs) -> dict[str, pd.DataFrame]:
    return {str(run_id): rows for run_id, rows in all_totals(runs).groupby("run_id", observed=True)}


@lru_cache(maxsize=64)
def _attention(runs: Runs, run_id: str) -> pd.DataFrame:
    return runs.table("attention", [run_id])
