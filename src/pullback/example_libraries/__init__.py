"""Two small libraries that JAX has as examples, and that programs still use: `optimizers` and `stax`."""
