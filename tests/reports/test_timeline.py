"""Time lines without times: stages of two runs side by side, one step of each."""

from __future__ import annotations

import pandas as pd

from reports.timeline import laid_out


def line(run_id: str, *rows: tuple[str | None, int | None, int]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["stage", "step", "call"]).astype({"step": float})
    return frame.assign(run_id=run_id, group="toy")


def test_a_stage_begins_at_its_number_in_every_run() -> None:
    short = line("a", ("text_encode", None, 0), ("denoise_step", 0, 1), ("denoise_step", 0, 2), ("decode", None, 5))
    long = line("b", ("text_encode", None, 0), ("text_encode", None, 3), ("denoise_step", 0, 4), ("decode", None, 90))
    found = laid_out(pd.concat([short, long], ignore_index=True))
    begins = found.groupby(["run_id", "stage"])["position"].min().unstack("run_id")
    assert begins["a"].to_dict() == begins["b"].to_dict() == {"text_encode": 0, "denoise_step": 1, "decode": 2}
    assert found.loc[found["call"] == 2, "position"].tolist() == [1.5]
    assert found.loc[found["call"] == 3, "position"].tolist() == [0.75]


def test_of_a_stage_with_steps_the_first_stays_and_what_lies_in_none_goes() -> None:
    rows = line("a", ("generate", None, 0), ("denoise_step", 2, 1), ("denoise_step", 3, 2), (None, None, 3))
    assert laid_out(rows)[["stage", "step", "position"]].to_numpy().tolist() == [["denoise_step", 2.0, 0.0]]


def test_nothing_stays_nothing() -> None:
    assert laid_out(line("a", ("generate", None, 0))).empty
