"""Runs the notebooks."""
