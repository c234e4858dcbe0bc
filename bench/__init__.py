"""Benchmarks: Pairscope beside its peers, in the same run, as ratios. See docs/bench.md."""
