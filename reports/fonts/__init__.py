"""The font of figures: DejaVu Sans without the characters and tables that figures do not need.

Embedding a font in a PDF means cutting it down to the letters in use. Of the whole DejaVu Sans (750 kB, much of it layout rules
for scripts from Arabic to N'Ko) that took longer than drawing the figure; of these files it takes a tenth. Letters that they
lack come from matplotlib's own DejaVu Sans. `slim.py` beside this file makes them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

FAMILY = "Genscope Sans"
FILES = ("GenscopeSans.ttf", "GenscopeSans-Bold.ttf")
FOLDER = Path(__file__).parent


@cache
def families() -> list[str]:
    """Font families of figures, first choice first, made known to matplotlib."""
    from matplotlib import font_manager

    for name in FILES:
        font_manager.fontManager.addfont(str(FOLDER / name))
    return [FAMILY, "DejaVu Sans"]
