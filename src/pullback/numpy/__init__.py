"""The NumPy API."""
