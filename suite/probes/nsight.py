"""Nsight Compute's CSV (``ncu --csv --page raw``): one row a kernel, read into SI units.

    ==PROF== Connected to process 4711 (/usr/bin/python3.11)
    "ID","Process ID",...,"Kernel Name",...,"gpu__time_duration.sum","l1tex__t_sector_hit_rate.pct"
    "","",...,"",...,"nsecond","%"
    "0","4711",...,"ampere_fp16_s16816gemm_fp16_128x64_ldg8_f2f_stages_64x4_nn",...,"12,416","61.32"

Other lines, ncu's own and the program's, stand before, between and after them.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import Any

METRICS = {
    "duration_s": "gpu__time_duration.sum",
    "l1_sectors": "l1tex__t_sectors.sum",
    "l1_hit_rate": "l1tex__t_sector_hit_rate.pct",
    "l2_sectors": "lts__t_sectors.sum",
    "l2_hit_rate": "lts__t_sector_hit_rate.pct",
    "dram_bytes": "dram__bytes.sum",
}
"""Our column, and the counter that fills it."""

_KERNEL = "Kernel Name"
_PREFIXES = {"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_UNIT = re.compile(r"(?P<prefix>[numkKMGT]?)(?P<base>second|s|sector|byte|B)s?")
_NOT_A_NUMBER = frozenset({"", "n/a", "(!) n/a", "nan", "-nan", "inf"})


class NsightError(ValueError):
    """Output that holds no table of kernels, or one that cannot be read. The message is one sentence."""


def kernels(output: str) -> list[dict[str, Any]]:
    """The kernels in launch order: ``kernel`` and the columns of `METRICS`, shares of 1.

    What ncu tells no number of is None, such as counters that a GPU does not have (some have none of their DRAM).

    Raises:
        NsightError: no table, none of the counters in it, an unknown unit, or a value that is no number.
    """
    lines = [line for line in output.splitlines() if line.startswith('"')]
    header = next((index for index, line in enumerate(lines) if f'"{_KERNEL}"' in line), None)
    if header is None or header + 1 == len(lines):
        raise NsightError("ncu printed no table of kernels")
    names, units, *rows = csv.reader(lines[header:])
    found = {column: counter for column, counter in METRICS.items() if counter in names}
    if not found:
        raise NsightError(f"ncu's table has none of {', '.join(METRICS.values())}")
    sizes = {column: _size(units[names.index(counter)], counter) for column, counter in found.items()}
    return [dict(_values(dict(zip(names, row, strict=True)), sizes)) for row in rows if len(row) == len(names)]


def _values(row: dict[str, str], sizes: dict[str, float]) -> Iterator[tuple[str, Any]]:
    yield "kernel", row[_KERNEL]
    for column, counter in METRICS.items():
        value = number(row.get(counter, ""))
        yield column, None if value is None else value * sizes[column]


def _size(unit: str, counter: str) -> float:
    """What one of a unit is in SI units."""
    if counter.endswith(".pct"):
        return 0.01
    if not unit:
        return 1.0
    found = _UNIT.fullmatch(unit)
    if found is None:
        raise NsightError(f"ncu's table has {counter} in {unit}, a unit that is not known")
    return _PREFIXES[found["prefix"].replace("K", "k")]


def number(text: str) -> float | None:
    """A number as any locale writes it; None for what is not available.

    Where points and commas are both there, the last is the decimal mark; one of them more than once groups thousands. A single
    comma before exactly three digits does so, too: counters are integers, and rates have two decimals.

    Raises:
        NsightError: it is none.
    """
    plain = re.sub(r"[\s'\N{RIGHT SINGLE QUOTATION MARK}\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}]", "", text)
    if text.strip().lower() in _NOT_A_NUMBER:
        return None
    decimal = max(".,", key=plain.rfind)
    others = plain.replace("," if decimal == "." else ".", "")
    groups = others.count(decimal) > 1 or (decimal == "," and bool(re.fullmatch(r"-?[1-9]\d{0,2},\d{3}", others)))
    try:
        return float(others.replace(decimal, "" if groups else "."))
    except ValueError:
        raise NsightError(f"ncu's table has {text!r} where a number should be") from None
