"""The gallery's page: each study that has runs, with what shows it, its command and what it ran on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reports import gallery
from reports.gallery import Gallery, make_gallery, ran_on
from reports.loading import load
from reports.studies import Study
from suite.record import Outcome, Part, Record, WorkloadFacts
from suite.record_folder import save
from tests.reports.attention_records import save_run
from tests.reports.synthetic import make_study

SHOWN = Study(
    "shown", "python run.py study=shown", "What it says.", ("shown/*",), ("figures/speedup", "tables/latency")
)
NOTHING = Study("nothing", "python run.py study=nothing", "No time.", ("nothing/*",), ("figures/cache_hit_rates",))
ABSENT = Study("absent", "python run.py study=absent", "No runs.", ("absent/*",), ("figures/speedup",))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outputs")
    make_study(root / "shown", workloads=("parti",))
    save_run(root / "nothing")
    return root


@pytest.fixture(scope="module")
def made(runs: Path) -> Gallery:
    return make_gallery([ABSENT, NOTHING, SHOWN], [runs], "place")


def sections(page: str) -> dict[str, str]:
    _, *parts = re.split(r"^## ", page, flags=re.MULTILINE)
    return {part.split("\n", 1)[0]: part for part in parts}


def test_every_study_that_has_runs_has_a_section(made: Gallery) -> None:
    assert list(sections(made.page)) == made.shown == ["nothing", "shown"]
    assert made.missing == ["absent"]
    assert made.problems == []
    section = sections(made.page)["shown"]
    assert "What it says." in section
    assert "\n    python run.py study=shown\n" in section
    assert section.index("place/shown-speedup.svg") < section.index("**Latency.**")
    assert section.count("\n| parti") == 3, "a row for each of the synthetic study's stacks that apply"
    for name in made.shown:
        assert f"[{name}](#{name})" in made.page


def test_figures_are_the_ones_that_the_page_shows(made: Gallery) -> None:
    assert {f"place/{name}" for name in made.figures} == set(re.findall(r"\]\((place/.+?)\)", made.page))
    assert all(content.startswith(b"<?xml") for content in made.figures.values())


def test_a_study_whose_runs_have_nothing_to_show_tells_how_they_ended(made: Gallery) -> None:
    section = sections(made.page)["nothing"]
    assert "**Outcomes.**" in section
    assert "| toy |" in section
    assert "![" not in section


def test_the_same_records_make_the_same_bytes(runs: Path, made: Gallery) -> None:
    assert make_gallery([ABSENT, NOTHING, SHOWN], [runs], "place") == made


def test_a_figure_of_too_many_marks_is_a_png(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "LARGEST_SVG_BYTES", 1000)
    made = make_gallery([SHOWN], [runs], "place")
    (name,) = made.figures
    assert name == "shown-speedup.png"
    assert made.figures[name].startswith(b"\x89PNG")


def test_a_run_that_cannot_be_read_is_told_once(runs: Path, tmp_path: Path) -> None:
    make_study(tmp_path / "shown", workloads=("parti",))
    bad = save_run(tmp_path / "shown", "bad") / "bad-out_of_the_box"
    (bad / "operators.parquet").write_bytes(b"")
    other = Study("other", "python run.py study=other", "Shared.", SHOWN.patterns, ("tables/latency",))
    made = make_gallery([SHOWN, other], [tmp_path], "place")
    (problem,) = made.problems
    assert str(bad) in problem


def record(execution: str, status: str, **environment: object) -> Record:
    facts = WorkloadFacts(
        name="toy", family="diffusion_pixel", media="image", scale="smoke", weights="random",
        parts={"denoiser": Part(class_name="Toy", num_parameters=1, weight_bytes=2)},
    )  # fmt: skip
    return Record(
        run_id=f"{execution}{status}", name="toy", created="2026-01-02T00:00:00+00:00", execution=execution,
        outcome=Outcome(status=status), workload=facts, environment=environment, config={"device": {"precision": "float16"}},
    )  # fmt: skip


def test_what_it_ran_on(tmp_path: Path) -> None:
    cpu = {"device": "cpu", "cpu": {"name": "A Chip", "num_physical_cores": 2}}
    measured, failed = record("measure", "ok", **cpu), record("measure", "unsupported", **cpu)
    on_cpu = "measured at scale smoke in float16 on A Chip, 2 cores, random weights"
    assert ran_on([measured]) == f"1 run {on_cpu}; 2026-01-02."
    assert ran_on([measured, failed]) == f"1 run {on_cpu}; 1 more ended as unsupported; 2026-01-02."
    assert ran_on([failed]) == "1 ended as unsupported; 2026-01-02."
    simulated = record("simulate", "ok", machine={"name": "Big GPU"})
    assert ran_on([simulated]) == (
        "1 run simulated at scale smoke in float16, estimated for Big GPU, no weights allocated; 2026-01-02."
    )
    assert "with no machine named" in ran_on([record("simulate", "ok")])
    save(simulated, {}, tmp_path / "one")
    assert ran_on(load(tmp_path).records) == ran_on([simulated])
