"""The matrix of what applies to what: every cell from a record's outcome and operators, failures and all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from reports import load
from reports.exhibits import build_table
from reports.runs import Runs
from reports.tables import applicability
from suite import record_folder
from suite.record import Applied, Arm, Outcome, Record, WorkloadFacts
from suite.record_tables import TABLES
from suite.units import NONE

CONVOLUTION = {"stage": "denoise_step", "operator": "aten::convolution", "operator_class": "convolution"}


VIEW = {"stage": "denoise_step", "operator": "aten::view", "operator_class": "data_movement"}


def save(
    folder: Path,
    workload: str,
    stack: str,
    *,
    calls: int = 4,
    flops: int = 100,
    beside: int = 1,
    status: str = "ok",
    why: str = "",
    left_out: dict[str, str] | None = None,
) -> None:
    """A run whose operators are some convolutions, with views and gaps beside them."""
    rows: list[dict[str, Any]] = [
        {**CONVOLUTION, "step": step, "module": "denoiser.conv", "calls": calls, "flops": flops} for step in (0, 1)
    ]
    rows.append({**VIEW, "step": 0, "module": "denoiser", "calls": beside, "flops": 0})
    rows.append(
        {"stage": "generate", "operator": "unattributed", "operator_class": "other", "calls": beside, "flops": None}
    )
    found = Record(
        run_id=f"{workload}-{stack}", name=f"{workload}-{stack}", created="2026-01-01T00:00:00+00:00", execution="measure",
        outcome=Outcome(status=status, reason=why or None), request={"batch_size": 1},
        workload=WorkloadFacts(name=workload, scale="smoke"),
        config={"optimization": {name: {} for name in stack.split("+") if name}}, arms=[],
    )  # fmt: skip
    if left_out:
        whole = Applied(name=stack, exact=True, changes="some of it", left_out=left_out)
        found.arms.append(Arm(name="stack", optimizations=[whole]))
    operators = pa.Table.from_pylist(rows, schema=TABLES["operators"])
    record_folder.save(found, {"operators": operators} if status == "ok" else {}, folder / found.name)


def study(folder: Path) -> Runs:
    save(folder, "video", "")
    save(folder, "video", "slicing", calls=16)
    save(folder, "video", "skipping", flops=50)
    save(folder, "video", "slicing+skipping", calls=16, flops=50)
    save(folder, "text", "")
    save(folder, "text", "slicing", beside=7)
    save(folder, "text", "skipping", status="not_applicable", why="there is no step to skip")
    save(folder, "broken", "", status="failed", why="it fell over")
    save(folder, "broken", "slicing")
    save(folder, "broken", "skipping", status="oom", why="1 GiB too much")
    return load(folder)


def test_every_cell_says_how_it_ended(tmp_path: Path) -> None:
    table = applicability.build(study(tmp_path)).set_index("group")
    assert list(table.loc["video", ["slicing", "skipping", "slicing+skipping"]]) == ["ok", "ok", "ok"]
    assert pd.isna(table.loc["video", "why"])
    assert table.loc["text", "slicing"] == "same operators", "more views and gaps are no more work"
    assert table.loc["text", "skipping"] == "not applicable"
    assert table.loc["text", "why"] == "skipping: there is no step to skip"
    assert list(table.loc["broken", ["out_of_the_box", "slicing", "skipping"]]) == ["failed", "ok", "oom"]
    assert set(str(table.loc["broken", "why"]).split("; ")) == {
        "out_of_the_box: it fell over",
        "skipping: 1 GiB too much",
    }


def test_parts_that_are_left_out_are_named_with_their_reason_once(tmp_path: Path) -> None:
    reason = "there is no step to skip"
    save(tmp_path, "text", "skipping", status="not_applicable", why=reason)
    save(tmp_path, "text", "whole", calls=16, left_out={"skipping": reason})
    (row,) = applicability.build(load(tmp_path)).to_dict("records")
    assert (row["skipping"], row["whole"]) == ("not applicable", "ok without skipping")
    assert row["why"] == f"skipping: {reason}"


def test_its_columns_are_the_stacks_that_were_run(tmp_path: Path) -> None:
    exhibit = build_table(applicability, study(tmp_path))
    assert exhibit is not None
    headers = ["Workload", "out_of_the_box", "skipping", "slicing", "slicing+skipping", "Why"]
    assert exhibit.rendered.headers == headers
    (broken, text, video) = exhibit.rendered.rows
    assert (broken[0], text[0], video[0]) == ("broken", "text", "video")
    assert text[4] == video[1] == NONE, "what was not asked for is a dash"


def test_runs_out_of_the_box_alone_have_no_matrix(tmp_path: Path) -> None:
    save(tmp_path, "video", "")
    assert build_table(applicability, load(tmp_path)) is None
