"""Published measurements beside simulated records whose numbers are chosen by hand: frame, table, figure and claims."""

from __future__ import annotations

from pathlib import Path

import pytest

import reports.claims.sources.published_gpu as claims
import reports.figures.published_gpu as figure
import reports.tables.published_gpu as table
from reports.claims.assess import assessed
from reports.loading import load
from reports.published_gpu import errors, published_gpu, quantity_of, summary
from reports.runs import Runs
from reports.style import house_style
from tests.reports.published_records import ROWS, plain_machine, save_published

GIB = 1 << 30


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("published")
    latency, memory = ROWS["torchao-flux-b4-lat"], ROWS["torchao-flux-b1-mem"]
    step, sd15 = ROWS["torch20-sd-t4-b1"], ROWS["docs-sd15-mem"]
    save_published(folder, latency, machine=plain_machine({latency.id: 0.2}), seconds=latency.value)
    save_published(
        folder, memory, machine=plain_machine(), seconds=1.0, allocated_bytes=34 * GIB, weights_bytes=30 * GIB
    )
    save_published(folder, step, machine=plain_machine(), seconds=10 * step.seconds, status="oom")
    save_published(folder, sd15, machine=plain_machine(), seconds=1.0, allocated_bytes=3 * GIB)
    return load(folder).readable()


def test_each_row_is_beside_its_own_run(runs: Runs) -> None:
    frame = published_gpu(runs).set_index("id")
    assert set(frame.index) == {
        "torchao-flux-b4-lat", "torchao-flux-b1-mem", "torchao-flux-weights", "torch20-sd-t4-b1", "docs-sd15-mem",
    }  # fmt: skip
    assert frame.loc["torchao-flux-b4-lat", "ratio"] == pytest.approx(1.5), "denoising and half as long decoding"
    assert frame.loc["torchao-flux-b4-lat", "left_out_ratio"] == pytest.approx(1.2)
    assert frame.loc["torch20-sd-t4-b1", "ratio"] == pytest.approx(1.0), "a step, of ten, whatever the decoder does"
    assert frame.loc["torch20-sd-t4-b1", "outcome"] == "oom"
    assert frame.loc["torchao-flux-b1-mem", "ratio"] == pytest.approx(34 / 33.851)
    assert frame.loc["torchao-flux-weights", "ratio"] == pytest.approx(30 / 31.438)
    assert frame.loc["docs-sd15-mem", "simulated"] == 4.75 * GIB, "with the parts that ours lacks"


def test_energy_is_the_share_of_the_boards_power(tmp_path: Path) -> None:
    row = ROWS["mlenergy-flux-b200-b1-lat"]
    save_published(tmp_path, row, machine=plain_machine(), seconds=10.0)
    frame = published_gpu(load(tmp_path).readable()).set_index("id")
    assert frame.loc["mlenergy-flux-b200-b1-energy", "simulated"] == pytest.approx(15 * 100 * 0.5)


def test_errors_count_what_is_sure(tmp_path: Path) -> None:
    sure, unsure = ROWS["docs-sdxl-mem"], ROWS["sdxlblog-fp16-sdpa-mem"]
    old = ROWS["torchao-cog2B-float16-mem"]
    for row, gib in ((sure, 10.47 * 1.01), (unsure, 99.0), (old, 99.0)):
        save_published(tmp_path, row, machine=plain_machine(), seconds=1.0, allocated_bytes=int(gib * GIB))
    frame = published_gpu(load(tmp_path).readable())
    assert errors(frame, "allocated").tolist() == pytest.approx([0.01], abs=1e-6)
    (told,) = [found for found in summary(frame) if found["quantity"] == "allocated"]
    assert (told["rows"], told["within"]) == (1, 1.0)
    assert "diffusers before 0.31" in frame.set_index("id").loc[old.id, "note"]


def test_the_table_has_what_is_furthest_off_first(runs: Runs) -> None:
    frame = table.build(runs)
    assert frame["quantity"].tolist() == ["latency", "latency", "allocated", "allocated", "weights"]
    assert frame["off_percent"].tolist()[:2] == pytest.approx([20, 0], abs=1e-6)
    cells = {column.header: column.cell(frame.iloc[0].to_dict(), None) for column in table.COLUMNS}
    assert cells["Published"] == "24.8 s"
    assert cells["Source"].startswith("sayakpaul/diffusers-torchao")


def test_the_figure_has_a_panel_for_each_quantity(runs: Runs) -> None:
    with house_style():
        drawn = figure.draw(runs)
    assert drawn is not None
    titles = [axes.get_title(loc="left") for axes in drawn.axes if axes.get_visible()]
    assert [title.split(":")[0] for title in titles] == ["latency", "peak allocated"]
    latency = drawn.axes[0]
    points = {tuple(line.get_xydata()[0]) for line in latency.lines if len(line.get_xydata()) == 1}
    assert (24.828, pytest.approx(24.828 * 1.2)) in [(x, y) for x, y in points], "as a fit had it that knew no Flux"
    assert "allocated: off by" in figure.caption(runs)
    assert "latency" in figure.alt_text(runs)


def test_claims_say_the_same(runs: Runs) -> None:
    found = assessed(runs)
    mine = found[found["source"] == "published_gpu"].set_index("case")
    assert mine.loc["torchao-flux-b4-lat", "verdict"] == "differs"
    assert mine.loc["torchao-flux-b1-mem", "verdict"] == "agrees"
    assert mine.loc["torchao-flux-b1-mem", "ours"] == "34 GiB"
    assert mine.loc["torch20-sd-t4-b1", "verdict"] == "agrees", (
        "a simulation of what a machine cannot hold has its numbers"
    )


def test_every_row_is_a_claim_of_its_quantity() -> None:
    cases = [case for claim in claims.SOURCE.claims.values() for case in claim.cases]
    assert sorted(cases) == sorted(ROWS)
    assert all(case in claims.SOURCE.claims[quantity_of(row)].cases for case, row in ROWS.items())
    with pytest.raises(AttributeError):
        claims.no_such_claim  # noqa: B018
