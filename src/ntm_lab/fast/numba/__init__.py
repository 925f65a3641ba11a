"""The CPU: compiled by numba."""
