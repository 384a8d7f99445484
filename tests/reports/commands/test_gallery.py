"""``python -m reports gallery``: what it writes, replaces, refuses and says."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.__main__ import main
from tests.reports.synthetic import make_study


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outputs")
    make_study(root / "quickstart", workloads=("parti",))
    return root


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_page_and_figures_are_written_and_replaced(
    outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "docs" / "gallery"
    assert main(["gallery", str(outputs), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Gallery: {out}.md, 1 study, 2 figures.\n")
    assert "No runs of cache_hit_rates, " in said
    written = files_of(tmp_path)
    figures = ("docs/gallery/quickstart-speedup.svg", "docs/gallery/quickstart-memory_by_stage.svg")
    assert set(written) == {"docs/gallery.md", *figures}
    (out / "gone.svg").write_text("of a study that is no more")
    assert main(["gallery", str(outputs), "--out", str(out)]) == 0
    assert files_of(tmp_path) == written


@pytest.mark.parametrize("kind", ["missing", "no_study", "page", "folder", "file"])
def test_bad_input_is_one_sentence_and_nothing_is_written(
    kind: str, outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, out = outputs, tmp_path / "gallery"
    if kind == "missing":
        runs = tmp_path / "nowhere"
    elif kind == "no_study":
        runs = tmp_path / "elsewhere"
        make_study(runs, workloads=("parti",))
    elif kind == "page":
        out.with_suffix(".md").write_text("mine")
    elif kind == "folder":
        out.mkdir()
        (out / "thesis.tex").write_text("mine")
    else:
        out.write_text("mine")
    before = files_of(tmp_path)
    assert main(["gallery", str(runs), "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert files_of(tmp_path) == before
