"""Measurements of speed, memory and behaviour that take too long for the tests: `python -m benchmarks --help`."""
