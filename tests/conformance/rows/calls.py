"""Call primitives: checkpoint and its names, custom_jvp, custom_vjp, custom_vmap, with the derivatives of the functions they wrap."""

from __future__ import annotations

from typing import Any

from pullback.control.composite import composite_p
from pullback.control.linear_calls import linear_call
from pullback.core.staging import stage_flat
from pullback.core.types import typeof
from pullback.lax.elementwise import cos_p, sin_p
from pullback.lax.family import mul_p, neg_p
from pullback.transforms.checkpoint import checkpoint, checkpoint_name
from pullback.transforms.custom_jvp import custom_jvp
from pullback.transforms.custom_vjp import custom_vjp
from pullback.transforms.custom_vmap import custom_vmap
from pullback.transforms.policies import dots_saveable, everything_saveable
from tests.conformance.table import Row, sample


def product(x: Any, y: Any) -> Any:
    return mul_p.bind(sin_p.bind(x), y)


jvp_product = custom_jvp(product)


@jvp_product.defjvp
def product_jvp(primals: Any, tangents: Any) -> Any:
    (x, y), (t, u) = primals, tangents
    return jvp_product(x, y), mul_p.bind(mul_p.bind(cos_p.bind(x), y), t) + mul_p.bind(sin_p.bind(x), u)


vjp_product = custom_vjp(product)
vjp_product.defvjp(
    lambda x, y: (vjp_product(x, y), (x, y)),
    lambda res, ct: (
        mul_p.bind(neg_p.bind(mul_p.bind(cos_p.bind(res[0]), res[1])), neg_p.bind(ct)),
        mul_p.bind(sin_p.bind(res[0]), ct),
    ),
)

mapped_product = custom_vmap(product)
mapped_product.def_vmap(
    lambda size, marks, x, y: (product(*(a if m else a[None] for a, m in zip((x, y), marks))), True)
)


def composed(x: Any, y: Any) -> Any:
    program = stage_flat(lambda x, y: [product(x, y)], [typeof(x), typeof(y)])
    return composite_p.bind(x, y, jaxpr=program, name="test.product", version=0, attributes="{}")


PAIR = (sample((2, 3)), sample((2, 3), seed=1))
ROWS = [
    Row("checkpoint", "plain", checkpoint(product), PAIR),
    Row("checkpoint", "everything", checkpoint(product, policy=everything_saveable), PAIR),
    Row("checkpoint", "dots", checkpoint(product, policy=dots_saveable), PAIR),
    Row("checkpoint", "nested", checkpoint(lambda x, y: product(checkpoint(product)(x, y), y)), PAIR),
    Row("name", "plain", lambda x: checkpoint_name(x, "x"), PAIR[:1]),
    Row("custom_jvp_call", "plain", jvp_product, PAIR),
    Row("custom_vjp_call", "plain", vjp_product, PAIR),
    Row("custom_vmap_call", "plain", mapped_product, PAIR),
    Row("composite", "plain", composed, PAIR),
    Row("linear_call", "plain", lambda x, y: linear_call(mul_p.bind, mul_p.bind, x, y), PAIR),
]
