"""Benchmarks against JAX, PyTorch, Autograd and NumPy. Run them with `make bench`."""
