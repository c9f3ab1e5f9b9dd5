"""Clusters: `vq` has vector quantization."""

from pullback.scipy.cluster import vq as vq

__all__ = ["vq"]
