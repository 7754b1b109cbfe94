"""Benchmarks: asv's suite (bench_*.py) and the comparison with peers (compare.py)."""
