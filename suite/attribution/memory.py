"""Memory over time and its peaks by stage, from the allocator's events in a trace."""

from __future__ import annotations

import pyarrow as pa

from suite.attribution.context import Context
from suite.attribution.events import Events
from suite.attribution.trace import Allocations


def memory_tables(
    allocations: Allocations, events: Events, context: Context, weights_bytes: int | None
) -> tuple[pa.Table | None, pa.Table | None]:
    return None, None
