"""Published numbers beside ours, with a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.claims.assess import assessed
from reports.table import text

if TYPE_CHECKING:
    from reports.runs import Runs

SECTION, ORDER = "claims", 10
TITLE = "Claims"
CAPTION = (
    "Published numbers and what these runs say of them, one row a reading where a claim can be read in several ways. Ours is "
    "measured (median and interval), estimated (for a machine that was not there), counted (FLOPs, lengths) or "
    "simulated (memory). It agrees when it, or any value of its interval, is within the claim's tolerance. A claim over "
    "several models is not run while one of them is missing, unless the others refute it. Numbers that nobody looked up are "
    "reported, not verified. Claims that no run here can check are listed by: python -m reports claims RUNS."
)
COLUMNS = (
    text("Claim", "says"),
    text("Of", "case"),
    text("Read as", "reading"),
    text("Published", "published"),
    text("Ours", "ours"),
    text("Verdict", "verdict"),
    text("Ours is", "basis"),
    text("Why", "why"),
    text("Seen in", "trust"),
    text("On", "their_hardware"),
    text("Our hardware", "hardware"),
    text("Runs", "runs"),
    text("Source", "source"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each claim, case and reading that these runs can check."""
    return assessed(runs)
