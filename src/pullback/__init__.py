"""Pullback: composable automatic differentiation for Python and NumPy programs.

    import pullback as pb
    import pullback.numpy as jnp

    g = pb.grad(lambda x: jnp.sum(jnp.tanh(x) ** 2))

This page is the public namespace, name by name; it holds no code but the lazy import of the larger
sub-packages.
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any as _Any

from pullback.core.array import Array as Array
from pullback.core.config import check_tracer_leaks as check_tracer_leaks
from pullback.core.config import checking_leaks as checking_leaks
from pullback.core.config import config as config
from pullback.core.config import debug_infs as debug_infs
from pullback.core.config import debug_key_reuse as debug_key_reuse
from pullback.core.config import debug_nans as debug_nans
from pullback.core.config import default_device as default_device
from pullback.core.config import default_matmul_precision as default_matmul_precision
from pullback.core.config import default_prng_impl as default_prng_impl
from pullback.core.config import disabled_jit as disable_jit
from pullback.core.config import enable_checks as enable_checks
from pullback.core.config import enable_custom_prng as enable_custom_prng
from pullback.core.config import enable_x64 as enable_x64
from pullback.core.config import explain_cache_misses as explain_cache_misses
from pullback.core.config import legacy_prng_key as legacy_prng_key
from pullback.core.config import log_compiles as log_compiles
from pullback.core.config import numpy_dtype_promotion as numpy_dtype_promotion
from pullback.core.config import numpy_rank_promotion as numpy_rank_promotion
from pullback.core.config import threefry_partitionable as threefry_partitionable
from pullback.core.config import transfer_guard as transfer_guard
from pullback.core.config import transfer_guard_device_to_device as transfer_guard_device_to_device
from pullback.core.config import transfer_guard_device_to_host as transfer_guard_device_to_host
from pullback.core.config import transfer_guard_host_to_device as transfer_guard_host_to_device
from pullback.core.dtypes import float0 as float0
from pullback.core.types import ShapeDtypeStruct as ShapeDtypeStruct
from pullback.core.types import typeof as typeof
from pullback.derivatives.jacobians import hessian as hessian
from pullback.derivatives.jacobians import jacobian as jacobian
from pullback.lax.callbacks import pure_callback as pure_callback
from pullback.transforms.checkpoint import checkpoint as checkpoint
from pullback.transforms.checkpoint import checkpoint as remat
from pullback.transforms.custom_vjp import custom_gradient as custom_gradient
from pullback.transforms.custom_jvp import custom_jvp as custom_jvp
from pullback.transforms.custom_vjp import custom_vjp as custom_vjp
from pullback.transforms.derivatives import fwd_and_bwd as fwd_and_bwd
from pullback.transforms.derivatives import grad as grad
from pullback.transforms.derivatives import jacfwd as jacfwd
from pullback.transforms.derivatives import jacrev as jacrev
from pullback.transforms.derivatives import value_and_grad as value_and_grad
from pullback.transforms.jit import clear_caches as clear_caches
from pullback.transforms.jit import jit as jit
from pullback.transforms.jvp import jvp as jvp
from pullback.transforms.linear_maps import LinearMap as LinearMap
from pullback.transforms.linearize import linear_transpose as linear_transpose
from pullback.transforms.linearize import linearize as linearize
from pullback.transforms.linearize import vjp as vjp
from pullback.transforms.tracing import closure_convert as closure_convert
from pullback.transforms.tracing import ensure_compile_time_eval as ensure_compile_time_eval
from pullback.transforms.tracing import eval_shape as eval_shape
from pullback.transforms.tracing import make_jaxpr as make_jaxpr
from pullback.transforms.tracing import named_call as named_call
from pullback.transforms.tracing import named_scope as named_scope
from pullback.transforms.vmap import vmap as vmap
from pullback.transfers import Device as Device
from pullback.transfers import block_until_ready as block_until_ready
from pullback.transfers import copy_to_host_async as copy_to_host_async
from pullback.transfers import default_backend as default_backend
from pullback.transfers import device_count as device_count
from pullback.transfers import device_get as device_get
from pullback.transfers import device_put as device_put
from pullback.transfers import devices as devices
from pullback.transfers import effects_barrier as effects_barrier
from pullback.transfers import host_count as host_count
from pullback.transfers import host_id as host_id
from pullback.transfers import host_ids as host_ids
from pullback.transfers import live_arrays as live_arrays
from pullback.transfers import local_device_count as local_device_count
from pullback.transfers import local_devices as local_devices
from pullback.transfers import print_environment_info as print_environment_info
from pullback.transfers import process_count as process_count
from pullback.transfers import process_index as process_index
from pullback.transfers import process_indices as process_indices
from pullback import numpy as numpy

__version__ = "0.1.0"

_SUBMODULES = frozenset(
    [
        "ad_checkpoint",
        "api_util",
        "as_jax",
        "checkpoint_policies",
        "custom_batching",
        "custom_derivatives",
        "debug",
        "derivatives",
        "distributed",
        "dlpack",
        "dtypes",
        "errors",
        "example_libraries",
        "experimental",
        "export",
        "ffi",
        "extend",
        "flatten_util",
        "image",
        "implicit",
        "interop",
        "interpreters",
        "lax",
        "memory",
        "nn",
        "ops",
        "profiler",
        "random",
        "scipy",
        "sharding",
        "stages",
        "test_util",
        "tour",
        "tree",
        "tree_util",
        "typing",
    ]
)
# Functions whose modules are loaded when they are first asked for.
_LATER = {"argmin": "implicit", "fixed_point": "implicit", "root": "implicit"}
_LATER["ds"] = "numpy.dynamic_slices"
_LATER |= dict.fromkeys(
    [
        "derivative_cost", "directional_derivatives", "divergence", "explain_gradient", "fisher_product",
        "gauss_newton_map", "gauss_newton_product", "hessian_diagonal", "hessian_map", "hessian_plan", "hessian_trace",
        "hvp", "jacobian_map", "jacobian_plan", "jacobian_trace", "jet", "jvp_from_vjp", "laplacian", "nan_safe_where",
        "preaccumulate", "register_differentiable", "sparsity", "taylor_coefficients", "vhp", "vjp_from_jvp",
    ],
    "derivatives",
)  # fmt: skip
_LATER |= dict.fromkeys(["NamedSharding", "P", "make_mesh", "reshard", "set_mesh"], "sharding")


def __getattr__(name: str) -> _Any:
    if name in _SUBMODULES:
        return _importlib.import_module(f"pullback.{name}")
    if name in _LATER:
        found = globals()[name] = getattr(_importlib.import_module(f"pullback.{_LATER[name]}"), name)
        return found
    raise AttributeError(f"module 'pullback' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_LATER})
