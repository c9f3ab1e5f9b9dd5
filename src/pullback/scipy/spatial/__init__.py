"""Geometry: `transform` has rotations in three dimensions."""

from pullback.scipy.spatial import transform as transform

__all__ = ["transform"]
