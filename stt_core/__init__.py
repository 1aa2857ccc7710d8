"""Spatial-then-Temporal self-supervised learning for video correspondence, as a thin library."""

__version__ = "0.1.0"
