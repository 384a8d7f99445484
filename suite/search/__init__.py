"""Search among the combinations of a sweep: a way of choosing what to run, for sweeps too large to run whole."""
