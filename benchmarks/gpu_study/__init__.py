"""The characterization on a real GPU: wheels for a node without internet, a plan within a budget, results to take home."""
