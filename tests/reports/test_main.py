"""The command: what it writes, what it says, how it ends, and what it never imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reports.__main__ import main
from reports.answers import answers
from reports.exhibits import FigureExhibit, TableExhibit
from reports.loading import load
from reports.page import render_page
from reports.runs import Runs
from tests.reports.attention_records import attention, save_run
from tests.reports.synthetic import make_run, make_study

ROOT = Path(__file__).resolve().parents[2]
WALL = ("torch", "diffusers", "transformers", "hydra", "omegaconf", "matplotlib.pyplot")


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Two small runs of one workload."""
    for stack in ((), ("baseline_attention",)):
        make_run(tmp_path / "runs", "stable_diffusion", stack, num_trials=6)
    return tmp_path / "runs"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save figures in one format: for tests that are not about figures."""
    monkeypatch.setattr("reports.exhibits.FORMATS", ("svg",))  # what reports.report saves


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_whole_report_in_a_process_that_never_loads_torch(
    study: Path, tmp_path: Path, runs: Runs, drawn: dict[str, FigureExhibit], built: dict[str, TableExhibit]
) -> None:
    code = (
        "import sys; from reports.__main__ import main; code = main(sys.argv[1:]);"
        f"sys.exit(code or 9 * any(m == w or m.startswith(w + '.') for m in sys.modules for w in {WALL}))"
    )
    command = [sys.executable, "-W", "error::UserWarning", "-c", code, str(study), "--out", str(tmp_path / "report")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    first, *sentences = done.stdout.splitlines()
    assert first == f"Report: {tmp_path / 'report' / 'index.html'}"
    assert len(sentences) == 3
    assert all(any(letter.isdigit() for letter in line) and line.endswith(".") for line in sentences)
    written = files_of(tmp_path / "report")
    assert "index.html" in written
    assert len([name for name in written if name.startswith("figures/")]) == 3 * len(drawn)
    tables = {Path(name).stem for name in written if name.startswith("tables/")}
    assert tables >= {"latency", "operators", "attention", "memory", "outcomes"}
    assert {f"tables/{name}.{form}" for name in tables for form in ("md", "csv", "tex")} <= set(written)
    # Another process made the same records into the same bytes.
    for figure in drawn.values():
        assert all(written[f"figures/{figure.name}.{kind}"] == content for kind, content in figure.files.items())
    for table in built.values():
        assert all(written[f"tables/{table.name}.{kind}"] == text.encode() for kind, text in table.files.items())
    page = render_page(runs, list(drawn.values()), list(built.values()), answers(runs))
    assert written["index.html"] == page.encode()


@pytest.mark.usefixtures("quick")
def test_a_report_inside_the_runs_is_no_run_and_is_replaced(few: Path) -> None:
    out = few / "report"
    assert main([str(few), "--out", str(out)]) == 0
    (out / "record.json").write_text("not a record")  # even then: the report's folder is not searched
    assert main([str(few), "--out", str(out)]) == 0
    assert not (out / "record.json").exists()
    assert [path.name for path in few.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("kind", ["missing", "empty", "file", "out_is_a_file", "out_is_no_report"])
def test_bad_input_is_one_sentence_and_nothing_is_written(
    kind: str, few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, out = few, tmp_path / "report"
    if kind == "missing":
        runs = tmp_path / "nowhere"
    elif kind == "empty":
        runs = tmp_path / "empty"
        runs.mkdir()
    elif kind == "file":
        runs = tmp_path / "file"
        runs.write_text("x")
    elif kind == "out_is_a_file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "thesis.tex").write_text("mine")
    before = files_of(tmp_path)
    assert main([str(runs), "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert captured.err.endswith(".\n")
    assert str(runs if kind in {"missing", "empty", "file"} else out) in captured.err
    assert files_of(tmp_path) == before


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("broken", ["record.json", "operators.parquet", "memory.parquet"])
@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty"])
def test_an_unreadable_run_is_named_and_the_others_are_reported(
    broken: str, damage: str, few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = make_run(few, "parti", num_trials=2)
    content = (bad / broken).read_bytes()
    kept = {"truncated": content[: len(content) // 2], "garbage": os.urandom(300), "empty": b""}[damage]
    (bad / broken).write_bytes(kept)
    runs = load(few).readable()
    assert len(runs) == 2
    (problem,) = runs.problems
    assert str(bad / broken) in problem
    if damage == "truncated":  # the whole command once for each file
        assert main([str(few), "--out", str(tmp_path / "report")]) == 2
        captured = capsys.readouterr()
        assert str(bad / broken) in captured.err
        assert len(captured.err.splitlines()) == 1
        page = (tmp_path / "report" / "index.html").read_text()
        assert str(bad / broken) in page
        assert "unreadable" in (tmp_path / "report" / "tables" / "outcomes.csv").read_text()


@pytest.mark.usefixtures("quick")
def test_records_of_other_schemas_are_left_out_and_counted(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of a later version, one of a version before all upgrades, one of a wrong shape, one with a table of wrong types."""
    later, older, wrong, types = (make_run(few, "parti", num_trials=2, folder=name) for name in ("l", "o", "w", "t"))
    for folder, change in (
        (later, {"schema_version": 99}),
        (older, {"schema_version": 0}),
        (wrong, {"samples": "none"}),
    ):
        record = json.loads((folder / "record.json").read_text())
        (folder / "record.json").write_text(json.dumps(record | change))
    pq.write_table(pa.table({"stage": ["decode"], "calls": ["many"]}), types / "operators.parquet")
    assert main([str(few), "--out", str(tmp_path / "report")]) == 2
    sentences = capsys.readouterr().err.splitlines()
    assert len(sentences) == 4
    assert all(sentence.endswith("; this run is left out.") for sentence in sentences)
    for folder, words in ((later, "version 99"), (older, "version 0"), (wrong, "not a record"), (types, "as a table")):
        assert sum(str(folder) in sentence and words in sentence for sentence in sentences) == 1
    page = (tmp_path / "report" / "index.html").read_text()
    assert "4 folders are left out" in page
    assert page.count('class="word-unreadable"') == 4
    rows = (tmp_path / "report" / "tables" / "outcomes.csv").read_text().splitlines()
    assert sum("unreadable" in row for row in rows) == 4


def test_nothing_readable_makes_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "runs" / "one"
    bad.mkdir(parents=True)
    (bad / "record.json").write_text("{")
    assert main([str(tmp_path / "runs"), "--out", str(tmp_path / "report")]) == 2
    assert not (tmp_path / "report").exists()
    assert "No run could be read" in capsys.readouterr().err


@pytest.mark.usefixtures("quick")
def test_hostile_names_break_neither_page_nor_tables(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)> & \\end{tabular} $\\alpha$ | ] \u202e \U0001f600"
    make_run(tmp_path / "runs", "stable_diffusion", shown=name, folder="one", num_trials=2)
    make_run(tmp_path / "runs", "stable_diffusion", ("flash_attention",), shown=name, folder="two", num_trials=2)
    assert main([str(tmp_path / "runs"), "--out", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<img" not in page
    assert "&lt;img" in page
    assert r"\end{tabular} " not in (tmp_path / "report" / "tables" / "latency.tex").read_text().replace(
        "\\end{tabular}\n", ""
    )


@pytest.mark.usefixtures("quick")
def test_a_failing_disk_leaves_the_old_report(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "report"
    assert main([str(few), "--out", str(out)]) == 0
    before = files_of(out)
    monkeypatch.setattr(Path, "write_bytes", _no_space)
    assert main([str(few), "--out", str(out)]) == 2
    monkeypatch.undo()
    assert files_of(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "runs"]


def _no_space(path: Path, content: bytes) -> int:
    raise OSError(28, "No space left on device")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom reports.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "sys.exit(any(name in sys.modules for name in ('pandas', 'matplotlib', 'pyarrow', 'scipy')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "--out" in done.stdout


def test_several_folders_and_the_same_one_twice(tmp_path: Path) -> None:
    make_study(tmp_path / "a", workloads=("parti",))
    make_run(tmp_path / "b", "stable_diffusion", num_trials=2)
    runs = load(tmp_path / "a", tmp_path / "b", tmp_path / "a")
    assert len(runs) == 5


@pytest.mark.usefixtures("quick")
def test_runs_of_which_little_is_known_make_a_report(tmp_path: Path) -> None:
    operators = [{"stage": "denoise_step", "operator": "aten::op", "operator_class": "attention", "calls": 1}]
    for stack in (None, "flash_attention"):
        save_run(
            tmp_path / "runs",
            stack=stack,
            operators=operators,
            calls=[{"call": 0, "stage": "denoise_step"}, attention("spatial", 64, 64, heads=None)],
            peaks=[{"stage": "generate"}, {"stage": "decode"}],
            activity=[{"num_kernels": 1}],
        )
    assert main([str(tmp_path / "runs"), "--out", str(tmp_path / "report")]) == 0
