"""NVIDIA GPUs: compiled by Triton."""
