"""Benchmarks: what `make bench` and `make gpu` measure, and how. They use every part of Strata; no part uses them."""
