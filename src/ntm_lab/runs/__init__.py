"""Runs and sweeps: the only room that knows Hydra."""
