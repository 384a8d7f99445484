"""The font of figures against the DejaVu Sans of matplotlib, from which it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import pytest
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.ttLib import TTFont

from reports.fonts import FAMILY, FILES, FOLDER, families
from reports.fonts.slim import main
from reports.saving import files_of
from reports.style import house_style, new_figure
from suite.units import EN_DASH, TIMES

_SOURCES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
_DEJAVU = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def outline(font: TTFont, letter: int) -> list[Any]:
    glyphs = font.getGlyphSet()
    pen = DecomposingRecordingPen(glyphs)
    glyphs[font.getBestCmap()[letter]].draw(pen)
    return pen.value


def kerning(font: TTFont, pair: str) -> float:
    names = font.getBestCmap()
    return font["kern"].kernTables[0].kernTable.get(tuple(names[ord(letter)] for letter in pair), 0)


@pytest.mark.parametrize(("file", "source"), list(zip(FILES, _SOURCES, strict=True)))
def test_letters_look_as_they_did(file: str, source: str) -> None:
    ours, theirs = TTFont(FOLDER / file), TTFont(_DEJAVU / source)
    letters = ours.getBestCmap()
    assert set(map(ord, f"Latency (ms), 1.5{TIMES} µ≤≥≈→{EN_DASH}…%é")) <= letters.keys()
    for letter in letters:
        assert outline(ours, letter) == outline(theirs, letter)
        assert ours["hmtx"][letters[letter]] == theirs["hmtx"][theirs.getBestCmap()[letter]]
    assert kerning(ours, "AV") == kerning(theirs, "AV") < 0
    assert ours["name"].getDebugName(1) == FAMILY
    assert "GPOS" not in ours


def test_the_files_are_what_the_script_makes(tmp_path: Path) -> None:
    main(tmp_path)
    for file in FILES:
        made, kept = TTFont(tmp_path / file), TTFont(FOLDER / file)
        assert made.getBestCmap() == kept.getBestCmap()
        assert made.keys() == kept.keys()


def test_figures_use_it_and_another_for_letters_that_it_lacks() -> None:
    with house_style():
        figure = new_figure(1, 3)
        figure.subplots().set_title("Latency")
        alone = files_of(figure, ("pdf",))["pdf"]
        figure.text(0.1, 0.8, "Ж")  # Cyrillic is not among its letters
        both = files_of(figure, ("pdf",))["pdf"]
    assert b"GenscopeSans" in alone
    assert b"DejaVuSans" not in alone
    assert b"DejaVuSans" in both
    assert families()[0] == FAMILY
