"""The page: self-contained, well-formed, and readable by those who do not see it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from reports.answers import answers
from reports.exhibits import FigureExhibit, TableExhibit
from reports.page import inline_svg, render_page
from reports.runs import Runs

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Reader(HTMLParser):
    """Collects ids, references and headings, and checks that what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.headings: list[int] = []
        self.labels: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch(r"h\d", tag):
            self.headings.append(int(tag[1]))
        self.ids += [values["id"] or ""] if "id" in values else []
        self.references += [values[name] or "" for name in ("href", "src", "xlink:href", "data") if name in values]
        self.references += re.findall(r"url\(([^)]*)\)", " ".join(value or "" for value in values.values()))
        if values.get("role") == "img":
            self.labels.append(values.get("aria-label") or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(runs: Runs, drawn: dict[str, FigureExhibit], built: dict[str, TableExhibit]) -> str:
    return render_page(runs, list(drawn.values()), list(built.values()), answers(runs))


@pytest.fixture(scope="module")
def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def test_the_page_asks_nothing_of_any_network(page: str, read: Reader) -> None:
    assert all(reference.startswith("#") or reference == "data:," for reference in read.references)
    assert not re.search(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL))
    assert "@import" not in page
    assert "fetch(" not in page
    assert len(page.encode()) < 3_000_000


def test_the_page_is_well_formed_and_ids_are_unique(read: Reader) -> None:
    assert read.open == []
    assert len(read.ids) == len(set(read.ids))
    inner = {reference[1:] for reference in read.references if reference.startswith("#")}
    assert inner <= set(read.ids)


def test_headings_descend_one_level_at_a_time_and_figures_have_alt_text(
    read: Reader, drawn: dict[str, FigureExhibit]
) -> None:
    assert read.headings[0] == 1
    assert read.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(read.headings, read.headings[1:], strict=False))
    assert len(read.labels) == len(drawn)
    assert all(len(label) > 40 for label in read.labels)


def test_the_first_screen_answers_the_three_questions(page: str) -> None:
    answers = re.findall(r'<p class="first">(.*?)</p>', page)
    assert len(answers) == 3
    assert "takes" in answers[0]
    assert "GiB" in answers[1]
    assert "out of the box" in answers[2]
    assert all("out of the box" in answer and "baseline attention" not in answer for answer in answers)


def test_inline_svgs_get_ids_of_their_own() -> None:
    body = b'<g id="a"/><use xlink:href="#a" clip-path="url(#b)"/>'
    svg = b'<?xml version="1.0"?>\n<svg width="1pt" viewBox="0 0 1 1" xmlns="x">' + body + b"</svg>"
    text = inline_svg(svg, "fig")
    assert 'id="fig-a"' in text
    assert 'href="#fig-a"' in text
    assert "url(#fig-b)" in text
    assert "width=" not in text
    assert "<?xml" not in text
