"""The whole listing: what is judged, what is not comparable, what was not run, and what is said loudly.

For the mirror: reports.claims.evidence, reports.tables.claims, reports.commands.claims.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from reports import load
from reports.__main__ import main
from reports.claims.assess import assessed, contradictions, full_listing
from reports.claims.claim import source_modules
from reports.claims.evidence import settings
from reports.exhibits import build_table
from reports.tables import claims
from tests.reports.claims_records import call, operator, save_run

SD_LENGTHS = [4096] * 2 + [1024] * 2 + [256] * 2 + [64] + [256] * 3 + [1024] * 3 + [4096] * 3
SD = {"height": 512, "width": 512}
NUM_CASES = sum(len(claim.cases) for module in source_modules().values() for claim in module.SOURCE.claims.values())


def save_lengths(folder: Path, lengths: Sequence[int] = SD_LENGTHS, **changes: object) -> None:
    calls = [call(f"denoiser.{n}", "spatial", length) for n, length in enumerate(lengths)]
    rows = [operator("convolution", 0.7), operator("linear", 0.3)]
    save_run(folder, "stable_diffusion", request=SD, attention=calls, operators=rows, **changes)  # pyright: ignore


def test_the_full_listing_holds_every_claim(tmp_path: Path) -> None:
    save_lengths(tmp_path)
    listing = full_listing(load(tmp_path))
    assert len(listing.drop_duplicates(["source", "claim", "case"])) == NUM_CASES
    assert set(listing["verdict"]) == {"agrees", "differs", "not run"}
    missing = listing[listing["claim"] == "table_1_fvd"].iloc[0]
    assert (missing["verdict"], missing["why"]) == ("not run", "nothing yet, since no probe computes FVD")
    assert missing["trust"] == "the paper"
    command = listing[(listing["claim"] == "flash_end_to_end_speedup") & (listing["case"] == "llama")].iloc[0]["why"]
    assert command == "to be checked by python run.py study=paper_simulation"


def test_other_scales_are_listed_and_not_judged(tmp_path: Path) -> None:
    save_lengths(tmp_path, scale="smoke")
    runs = load(tmp_path)
    assert assessed(runs).empty
    assert build_table(claims, runs) is None
    listing = full_listing(runs)
    rows = listing[listing["claim"] == "sequence_length_variation"]
    assert set(rows["verdict"]) == {"not comparable"}
    assert "scale smoke" in rows["why"].iloc[0]


def test_runs_of_two_settings_are_never_mixed(tmp_path: Path) -> None:
    save_lengths(tmp_path)
    save_lengths(tmp_path, precision="float32")
    runs = load(tmp_path)
    assert [place.setting for place in settings(runs)] == [
        ("paper", "simulate", "NVIDIA A100 80GB SXM", name) for name in ("bfloat16", "float32")
    ]
    frame = assessed(runs)
    lengths = frame[frame["claim"] == "sequence_length_variation"]
    assert len(lengths) == 3  # two settings that count the same are one row, with the runs of both
    assert lengths["run_ids"].iloc[0] == "run00000 run00001"


def test_contradictions_are_sentences_and_estimates_are_weaker(tmp_path: Path) -> None:
    save_lengths(tmp_path)
    lengths, convolution = contradictions(load(tmp_path))
    assert lengths.startswith("Contradicted, under some readings only: the sequence length varies by up to 4x")
    assert "64.0" in lengths
    assert convolution.startswith("Not borne out by an estimate (nothing was timed): convolution takes up to 44 %")


def test_agreeing_runs_are_not_scolded(tmp_path: Path) -> None:
    parts_alone = [call("denoiser.t", "temporal", 16)]
    save_run(tmp_path, "make_a_video", media="video", attention=parts_alone)
    assert contradictions(load(tmp_path)) == []


def test_the_report_has_the_table_and_shouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reports.exhibits.FORMATS", ("svg",))
    save_lengths(tmp_path / "runs")
    assert main([str(tmp_path / "runs"), "--out", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report" / "index.html").read_text()
    assert 'class="word-differs"' in page
    warning = page.split('<ul class="warning">')[1].split("</ul>")[0]
    assert warning.count("<li>") == 1
    assert "1 that an estimate does not bear out" in page
    assert (tmp_path / "report" / "tables" / "claims.tex").is_file()


def test_the_command_lists_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_lengths(tmp_path / "runs")
    assert main(["claims", str(tmp_path / "runs")]) == 0
    out = capsys.readouterr().out
    assert sum(line.startswith("| ") for line in out.splitlines()) == 2 + len(full_listing(load(tmp_path / "runs")))
    assert "Contradicted" in out
    assert main(["claims", str(tmp_path / "runs"), "--out", str(tmp_path / "claims.csv")]) == 0
    assert (tmp_path / "claims.csv").read_text().startswith("source,claim,case,")


@pytest.mark.parametrize("case", ["missing", "form"])
def test_bad_input_of_the_command_is_a_sentence(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_lengths(tmp_path / "runs")
    where, out = ("nowhere", "x.md") if case == "missing" else ("runs", "x.pdf")
    assert main(["claims", str(tmp_path / where), "--out", str(tmp_path / out)]) == 2
    captured = capsys.readouterr()
    assert (captured.out, len(captured.err.splitlines())) == ("", 1)
