"""Text and tables for LaTeX: a strict grammar of what may come out, and a real compiler where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports import load
from reports.exhibits import TableExhibit, tables
from reports.latex import escaped
from reports.table import quantity, render, text, to_latex
from suite.record_folder import load as load_record
from tests.reports.synthetic import make_run

HOSTILE = (
    r"\input{/etc/passwd} \end{tabular} \\[3pt] $x^2$ 100 % & #1 ~ {_} | ^^41 \catcode`\%=12",
    "<script>alert('x')</script> <img src=x onerror=alert(1)> \"quoted\" `ticks` ?` !` -- --- << >>",
    "d\u00e9j\u00e0 na\u00efve \u0141\u00f3d\u017a stra\u00dfe \u00b5 \u00b1 \u00d7 \u2026 \u201cq\u201d \u4e2d\u6587 \u0627 "
    "\U0001f600 \u202e rtl",
    "] [ \x00 \x1b[31m two\nlines\tand\rmore \ufffd \u00ad",
)
_COMMANDS = (
    r"text(?:backslash|asciicircum|asciitilde|less|greater|bar|quotesingle|asciigrave|endash|emdash)"
    r"|ldots|times|pm|mu|cdot|circ|le|ge|approx|to|ss|o|O|ae|AE|l"
)
GRAMMAR = re.compile(
    r"""(?:[A-Za-z0-9 .,:;!?()*+/=@-]|\\[{}$&#%_]|\{\[\}|\{\]\}|\{\\char34\}|\\(?:COMMANDS)\{\}|\\[`'^~=u."rHvc]\{[A-Za-z]\}"""
    r"""|\$(?:-|\^[23]|\\(?:COMMANDS)|\^\{\\(?:circ|mathsf\{T\})\})\$|`\{\}|'\{\}|``\{\}|''\{\}|-\{\})*""".replace(
        "COMMANDS", _COMMANDS
    )
)


def has_latex() -> bool:
    """Whether there is a compiler with booktabs (Debian: texlive-latex-base and texlive-latex-recommended)."""
    if shutil.which("pdflatex") is None or shutil.which("kpsewhich") is None:
        return False
    return subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, check=False).returncode == 0


needs_latex = pytest.mark.skipif(not has_latex(), reason="pdflatex with booktabs is not installed")


@settings(deadline=None, max_examples=400)
@given(st.one_of(st.text(), st.text("\\{}$&#%_^~<>|\"'`[]-/a1 \n"), st.sampled_from(HOSTILE)))
def test_only_known_commands_come_out(value: str) -> None:
    assert GRAMMAR.fullmatch(escaped(value))


def test_what_is_printed_is_what_was_said() -> None:
    assert escaped("a_b 50 %") == r"a\_b 50 \%"
    assert escaped("--out") == "-{}-out"
    assert escaped("d\u00e9j\u00e0, \u4e2d") == r"d\'{e}j\`{a}, U+4E2D"
    assert escaped("5 \u00b5s") == r"5 $\mu$s"


def compiled(tables: list[str], folder: Path) -> str:
    """The log of a document with nothing but booktabs in its preamble."""
    body = "\n\\clearpage\n".join(tables)
    source = f"\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (folder / "tables.tex").write_text(source, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "tables.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=120)
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, "\n".join(line for line in log.splitlines() if line.startswith("!"))
    assert (folder / "tables.pdf").read_bytes().startswith(b"%PDF")
    return log


@needs_latex
def test_every_table_compiles(built: dict[str, TableExhibit], tmp_path: Path) -> None:
    log = compiled([table.files["tex"] for table in built.values()], tmp_path)
    assert "undefined" not in log.lower()


@needs_latex
def test_hostile_strings_compile(tmp_path: Path) -> None:
    frame = pd.DataFrame({"name": HOSTILE, "seconds": [1.5, 2.5, None, 0.1]})
    columns = [text(HOSTILE[0], "name"), quantity(HOSTILE[1], "seconds", "s")]
    compiled([to_latex(render(frame, columns), caption, "label") for caption in HOSTILE], tmp_path)


@pytest.fixture(scope="module")
def hostile_tables(tmp_path_factory: pytest.TempPathFactory) -> list[TableExhibit]:
    """Tables of runs whose every string is hostile: name, prompt, reason, git branch, command, folder."""
    root = tmp_path_factory.mktemp("hostile")
    for number, words in enumerate(HOSTILE):
        folder = make_run(root, "stable_diffusion", num_trials=2, shown=words, folder=f"run & {number} %_$")
        record = load_record(folder)
        git = {"commit": words, "branch": words, "changed": True}
        changed = msgspec.structs.replace(
            record, request=record.request | {"prompt": words}, config=record.config | {"command": words, "study": words},
            environment=record.environment | {"git": git, "gpu": {"name": words}, "device": words},
            outcome=msgspec.structs.replace(record.outcome, reason=words),
        )  # fmt: skip
        (folder / "record.json").write_bytes(msgspec.json.encode(changed))
    return tables(load(root).readable())


def test_tables_of_hostile_records_keep_their_form(hostile_tables: list[TableExhibit]) -> None:
    assert {"setup", "outcomes", "latency"} <= {table.name for table in hostile_tables}
    for table in hostile_tables:
        lines = table.files["tex"].splitlines()
        rows = [line for line in lines if line.endswith(r" \\")]
        assert len(rows) == len(table.rendered.rows) + 1
        columns = len(table.rendered.headers)
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {columns - 1}
        assert table.files["tex"].isascii()


@needs_latex
def test_tables_of_hostile_records_compile(hostile_tables: list[TableExhibit], tmp_path: Path) -> None:
    compiled([table.files["tex"] for table in hostile_tables], tmp_path)
