"""The house style of figures: paper widths, embedded bundled fonts, and bytes that depend on nothing but the data.

Figures are made with matplotlib's object interface; pyplot, with its window and its global state, is never loaded.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from reports.fonts import families
from reports.palette import FAINT, INK, RULE
from suite.units import Unit, unit_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN_INCHES = 3.3
"""Width of a column of a two-column paper."""
PAGE_INCHES = 7.0
"""Width of both columns."""

_inches: ContextVar[float] = ContextVar("_inches", default=PAGE_INCHES)

FORMATS = ("png", "svg", "pdf")

_SETTINGS: dict[Any, Any] = {
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.handlelength": 1.0,
    "legend.handleheight": 0.9,
    "legend.columnspacing": 1.2,
    "legend.handletextpad": 0.4,
    "text.parse_math": False,  # a name with a dollar sign is a name, not a formula
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "genscope",
    "figure.dpi": 100,
}

_LEGEND_LINE_INCHES = 0.14
_PNG_DPI = 300
_PNG_OPTIONS = {"compress_level": 3}
"""Half the time of the usual 6, for files a tenth larger."""

_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None},
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw and save figures inside this block in the house style."""
    import matplotlib

    with matplotlib.rc_context({**_SETTINGS, "font.family": families()}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


@contextmanager
def column_width() -> Iterator[None]:
    """Figures made inside this block are as wide as a column, unless they name a width."""
    token = _inches.set(COLUMN_INCHES)
    try:
        yield
    finally:
        _inches.reset(token)


def narrowness() -> float:
    """The width that figures are drawn at over that of a page: what has room for n letters there has it for n times as many."""
    return _inches.get() / PAGE_INCHES


def new_figure(height_inches: float, width_inches: float | None = None) -> Figure:
    """An empty figure, laid out so that no label is cut off."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_inches or _inches.get(), height_inches), layout="constrained")


def laid_out(figure: Figure) -> None:
    """Lay the figure out once, for all formats: its layout depends on the fonts, not on the format."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    figure.set_layout_engine("none")


def saved(figure: Figure, kind: str) -> bytes:
    """A figure that is `laid_out`, as a file of one of `FORMATS`; the same figure always gives the same bytes.

    Canvases are called directly: ``savefig`` would draw everything a second time to lay it out again.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer, metadata = io.BytesIO(), _METADATA[kind]
    if kind == "png":
        figure.set_dpi(_PNG_DPI)
        FigureCanvasAgg(figure).print_png(buffer, metadata=metadata, pil_kwargs=_PNG_OPTIONS)
    elif kind == "svg":
        FigureCanvasSVG(figure).print_svg(buffer, metadata=metadata)
    else:
        FigureCanvasPdf(figure).print_pdf(buffer, metadata=metadata)
    return buffer.getvalue()


def readable(name: str) -> str:
    """A name from a record as it stands in a figure: spaces for underscores, on one line, not too long."""
    words = " ".join(str(name).replace("_", " ").replace("+", " + ").split())
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words)
    return printable if len(printable) <= 42 else printable[:41] + "…"


def byte_unit(largest: float) -> Unit:
    """The unit of a byte axis: the largest that leaves its top at 1 or more."""
    return unit_for([largest], "bytes")


def bars_from_zero(axes: Axes, *, along: str = "x") -> None:
    """Start the value axis at zero, with a light grid across it and no ticks on the other."""
    if along == "x":
        axes.set_xlim(left=0)
        axes.tick_params(axis="y", length=0)
    else:
        axes.set_ylim(bottom=0)
        axes.tick_params(axis="x", length=0)
    axes.grid(axis="x" if along == "x" else "y")


def legend_on_top(figure: Figure, entries: dict[str, Any], *, num_columns: int = 6) -> None:
    """One legend for the whole figure, above it: label -> handle. More lines in a column make the figure higher."""
    usual = min(num_columns, max(len(entries), 1))
    columns = min(usual, max(round(num_columns * narrowness()), 1))
    more_lines = math.ceil(len(entries) / columns) - math.ceil(len(entries) / usual)
    figure.set_figheight(figure.get_figheight() + _LEGEND_LINE_INCHES * more_lines)
    figure.legend(list(entries.values()), list(entries), loc="outside upper left", ncols=columns)
