"""Claims of the TensorRT article (2025): kept for what is to come; no run of ours can check one yet."""

from __future__ import annotations

from reports.claims.claim import read_source

SOURCE = read_source("adobe_2025")
