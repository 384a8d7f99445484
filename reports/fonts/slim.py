"""Make the fonts of figures from matplotlib's DejaVu Sans: ``python -m reports.fonts.slim [FOLDER]``.

Outlines, widths and kerning stay as they are; layout rules, other scripts and tables of font editors go. The licence
(LICENSE_DEJAVU) asks that a changed font has another name than Bitstream Vera's.
"""

from __future__ import annotations

import sys
from pathlib import Path

from reports.fonts import FAMILY, FILES, FOLDER

_SOURCES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
_CHARACTERS = (
    *range(0x20, 0x250),  # Latin
    *range(0x370, 0x400),  # Greek: sigma, mu
    *range(0x2010, 0x2040),  # dashes, quotes, ellipsis
    *range(0x2070, 0x20A0),  # superscripts and subscripts
    *range(0x2190, 0x21A0),  # arrows
    *range(0x2200, 0x2270),  # minus, at most, about equal
    *range(0x25A0, 0x2600),  # marks
    0xFFFD,  # stands for what cannot be printed
)
_TABLES_LEFT_OUT = ("GDEF", "GPOS", "GSUB", "MATH", "FFTM")
_FAMILY_NAME, _FULL_NAME, _POSTSCRIPT_NAME = 1, 4, 6


def slim(source: Path, target: Path) -> None:
    """Write the font of figures that one of matplotlib's fonts gives."""
    from fontTools import subset

    options = subset.Options(glyph_names=True, layout_features=[], legacy_kern=True, notdef_outline=True)
    options.drop_tables += list(_TABLES_LEFT_OUT)
    font = subset.load_font(str(source), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=_CHARACTERS)
    subsetter.subset(font)
    names = font["name"]
    style = names.getDebugName(2)
    new_names = {
        _FAMILY_NAME: FAMILY,
        _FULL_NAME: f"{FAMILY} {style}",
        _POSTSCRIPT_NAME: target.stem,
    }
    for record in list(names.names):
        if record.nameID in new_names:
            names.setName(new_names[record.nameID], record.nameID, record.platformID, record.platEncID, record.langID)
    font.save(target)


def main(folder: Path = FOLDER) -> None:
    """Make both fonts in a folder."""
    import matplotlib

    sources = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for source, target in zip(_SOURCES, FILES, strict=True):
        slim(sources / source, folder / target)


if __name__ == "__main__":
    main(*(Path(folder) for folder in sys.argv[1:2]))
