"""The characterization on a real GPU: wheels for a node without internet, a plan within a budget, results to take home."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
"""The project's folder."""
