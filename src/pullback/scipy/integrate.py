"""Integrals of samples."""

from pullback.numpy.signal import trapezoid as trapezoid

__all__ = ["trapezoid"]
