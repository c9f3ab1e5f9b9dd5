"""Elementwise functions with NumPy's names and promotion."""

from __future__ import annotations

from pullback.lax import elementwise as e
from pullback.numpy.promotion import binary, unary

add = binary("add", e.add_p, "Sum, elementwise.")
subtract = binary("subtract", e.sub_p, "Difference, elementwise.")
multiply = binary("multiply", e.mul_p, "Product, elementwise.")
true_divide = divide = binary("divide", e.div_p, "Quotient, elementwise; integers give floats.", inexact=True)
tanh = unary("tanh", e.tanh_p, "Hyperbolic tangent, elementwise.", inexact=True)
square = unary("square", e.square_p, "Square, elementwise.")
sin = unary("sin", e.sin_p, "Sine, elementwise.", inexact=True)
