"""Custom derivative rules, and what rules with `symbolic_zeros` receive."""

from pullback.control.linear_calls import linear_call as linear_call
from pullback.transforms.custom_jvp import custom_jvp as custom_jvp
from pullback.transforms.custom_jvp import custom_jvp_call_p as custom_jvp_call_p
from pullback.transforms.custom_rules import SymbolicZero as SymbolicZero
from pullback.transforms.custom_rules import zero_from_primal as zero_from_primal
from pullback.transforms.custom_vjp import CustomVJPPrimal as CustomVJPPrimal
from pullback.transforms.custom_vjp import custom_gradient as custom_gradient
from pullback.transforms.custom_vjp import custom_vjp as custom_vjp
from pullback.transforms.custom_vjp import custom_vjp_call_p as custom_vjp_call_p
from pullback.transforms.custom_vjp import custom_vjp_primal_tree_values as custom_vjp_primal_tree_values
from pullback.transforms.tracing import closure_convert as closure_convert

__all__ = [
    "CustomVJPPrimal", "SymbolicZero", "closure_convert", "custom_gradient", "custom_jvp", "custom_jvp_call_p",
    "custom_vjp", "custom_vjp_call_p", "custom_vjp_primal_tree_values", "linear_call", "zero_from_primal",
]  # fmt: skip
