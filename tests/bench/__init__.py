"""Benchmarks: tools that `make bench-...` and `make study` run, with a small test each that they work; not tests."""
