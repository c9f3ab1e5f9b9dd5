"""What JAX has under `experimental`: io_callback, checkify."""

from pullback.lax.callbacks import io_callback as io_callback
