"""Names can hold anything: none may break a table, in any of its forms."""

# ruff: noqa: RUF001 - en dashes and multiplication signs are what is tested
from __future__ import annotations

import re

import pandas as pd
import pytest

from reports.table import factor, listing, quantity, render, share, text, to_csv, to_latex, to_markdown

HOSTILE = [
    r"100 % & \input{/etc/passwd} $x^2$ #1 ~ {_}",
    "<script>alert('x')</script> | cell | *bold* [link](javascript:x)",
    "two\nlines\tand \x00 \x1b[31m control",
    "] closing [ and `ticks` \\\\ end",
    '"quoted", comma; =cmd()',
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_keep_the_form(name: str) -> None:
    frame = pd.DataFrame({"name": [name, "b"], "seconds": [1.5, 2.5]})
    table = render(frame, [text("Name", "name"), quantity("Time", "seconds", "s")])
    markdown, latex = to_markdown(table), to_latex(table, name, "label")
    assert len(markdown.splitlines()) == 4
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in markdown.splitlines())
    assert "<script" not in markdown
    body = [line for line in latex.splitlines() if "&" in line and "caption" not in line]
    assert len(body) == 3
    assert all(len(re.findall(r"(?<!\\)&", line)) == 1 for line in body)
    assert r"\input" not in latex
    assert latex.count(r"\begin{tabular}") == 1
    assert "\x00" not in latex + markdown
    read = pd.read_csv(__import__("io").StringIO(to_csv(frame)))
    assert len(read) == 2


def test_every_special_letter_of_latex_is_escaped() -> None:
    table = render(pd.DataFrame({"name": [r"\ { } $ & # % _ ^ ~"]}), [text("Name", "name")])
    (line,) = [line for line in to_latex(table, "c", "l").splitlines() if "textbackslash" in line]
    bare = re.sub(r"\\(textbackslash|textasciicircum|textasciitilde)\{\}|\\[{}$&#%_]|\\\\$", "", line)
    assert not set(bare) & set(r"\{}$&#%_^~")


def test_long_listings_are_cut_and_say_so() -> None:
    table = render(pd.DataFrame({"n": ["a, b", "a, b, c, d, e, f, g"]}), [listing("N", "n")])
    assert table.rows == [["a, b"], ["a, b, c, d, e, and 2 more"]]


def test_cells() -> None:
    frame = pd.DataFrame(
        {"s": [0.0123, 0.5], "low": [0.0121, None], "high": [0.0126, None], "r": [1.234, None], "p": [0.0312, 0.5]}
    )
    columns = [quantity("T", "s", "s", ("low", "high")), factor("R", "r"), share("P", "p")]
    table = render(frame, columns)
    assert table.headers == ["T (s)", "R", "P"]
    assert table.rows[0] == ["0.0123 [0.0121–0.0126]", "1.23×", "3.1 %"]
    assert table.rows[1] == ["0.500", "–", "50 %"]
    assert table.keys[1] == [0.5, None, 0.5]
