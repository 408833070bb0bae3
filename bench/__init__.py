"""Benchmarks: each figure beside a reference that runs in the same session, so that a ratio outlives a machine."""
