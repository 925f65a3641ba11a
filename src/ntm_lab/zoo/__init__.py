"""Trained models: how they are found, loaded and given away."""
