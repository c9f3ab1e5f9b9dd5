"""What JAX has under `experimental`: io_callback, checkify, ode."""

from pullback.lax.callbacks import io_callback as io_callback
