"""Trained models: how to find, load and share them."""
