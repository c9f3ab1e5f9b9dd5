"""What JAX has under `experimental`: io_callback, buffer_callback, checkify, layout,
multihost_utils, ode, pjit, random, sparse, xla_metadata."""

from pullback.lax.callbacks import io_callback as io_callback
