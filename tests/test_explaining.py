"""`debug.explain`, `picture` and `memory_over_time` say what programs do, in numbers that are known."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import debug, lax
from pullback.core.primitive import registry
from pullback.explaining.kernels import kernels
from pullback.explaining.operations import _RULES, account

X, W = jnp.ones((8, 3)), jnp.ones((3, 4))


def loss(x, w):
    return jnp.tanh(x @ w).sum()


def kinds(f, *args):
    return {k.name: (k.count, k.flops) for k in debug.explain(f, *args).operations.kinds}


def test_arithmetic():
    assert kinds(loss, X, W) == {"dot_general": (1, 2 * 8 * 3 * 4), "tanh": (1, 32), "reduce_sum": (1, 32)}


@pytest.mark.parametrize(
    ("f", "flops"),
    [
        (lambda x: jnp.linalg.cholesky(x), 8**3 // 3),
        (lambda x: x + x, 64),
        (lambda x: x.T.reshape(-1)[::2], 0),
        (lambda x: (x + 1j) * 1j, 2 * 4 * 64),
        (lambda x: x.astype(int) + 1, 0),
        (lambda x: lax.scan(lambda c, _: (jnp.sin(c), None), x, None, length=10)[0], 640),
        (lambda x: lax.cond(x[0, 0] > 0, lambda x: jnp.exp(jnp.exp(x)), lambda x: x, x), 128 + 1),
        (pb.jit(lambda x: pb.jit(jnp.sin)(x)), 64),
        (lambda x: lax.conv(x[None, None], x[None, None, :3, :3], (1, 1), "VALID"), 2 * 36 * 9),
    ],
)
def test_arithmetic_of(f, flops):
    assert account(pb.make_jaxpr(f)(jnp.eye(8))).flops == flops


def test_rules_are_of_operations_that_there_are():
    assert _RULES.keys() <= registry.keys()


def test_a_loop_of_unknown_length_counts_once():
    found = debug.explain(lambda x: lax.while_loop(lambda x: x < 9, lambda x: x * 2, x), 1.0)
    assert found.operations.open_loops
    assert "at least" in str(found)


def test_xlas_arithmetic_is_ours():
    """Products, sums and elementwise functions are counted as XLA counts them."""
    f = lambda x, w: jnp.maximum(x @ w * 2 + 1, 0) @ w.T
    compiled = pb.jit(f).lower(X, W).compile().cost_analysis()["flops"]
    assert debug.explain(f, X, W).operations.flops == pytest.approx(compiled, rel=0.1)


def test_what_is_kept_is_what_saved_residuals_says():
    found = debug.explain(loss, X, W)
    assert found.kept == pb.ad_checkpoint.saved_residuals(loss, X, W)
    assert debug.explain(lambda i: i + 1, 3).kept == []


def test_kernels_have_the_users_lines():
    found = debug.explain(loss, X, W)
    (product,) = (k for k in found.kernels if k.kind == "product")
    assert product.operations[0][0] == "dot_general"
    operations = [place for k in found.kernels for _, place in k.operations]
    assert any("test_explaining.py:" in place for place in operations)


def test_kernels_of_no_module():
    assert kernels("") == []


def test_types_are_enough_and_nothing_is_computed():
    x, w = pb.ShapeDtypeStruct((800, 300), "float32"), pb.ShapeDtypeStruct((300, 400), "float32")
    assert debug.explain(loss, x, w).operations.flops == 2 * 800 * 300 * 400 + 2 * 800 * 400


def test_texts():
    found = debug.explain(loss, X, W)
    for word in (
        "loss: 3 operations, 256 flops",
        "dot_general",
        "a backward pass through it keeps",
        "kernels",
        "test_explaining.py",
    ):
        assert word in str(found)
        assert word in found._repr_html_()
    ElementTree.fromstring(f"<body>{found._repr_html_()}</body>")


# ---- pictures ------------------------------------------------------------------------------------

PROGRAMS = {
    "a gradient": (pb.grad(loss), X, W),
    "a loop": (lambda x: lax.scan(lambda c, _: (jnp.sin(c) @ W.T @ W, c.sum()), x @ W, None, length=3), X),
    "branches": (lambda x: lax.cond(x > 0, jnp.sin, jnp.cos, x), 1.0),
    "nothing": (lambda x: x, 1.0),
    "no argument": (lambda: jnp.zeros(3) + 1,),
    "constants": (lambda x: (x + W, 3.0), W),
    "many": (lambda x: sum(jnp.sin(x * i) for i in range(200)), 1.0),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_pictures_are_drawn(name, tmp_path):
    f, *args = PROGRAMS[name]
    drawn = debug.picture(f, *args)
    drawn.save(tmp_path / "program.svg")
    svg = ElementTree.parse(tmp_path / "program.svg").getroot()
    texts = [t.text for t in svg.iter("{http://www.w3.org/2000/svg}text")]
    program = pb.make_jaxpr(f)(*args)
    for e in program.eqns[:100]:
        assert any(str(t).startswith(e.primitive.name) for t in texts)
    assert ("more operations" in " ".join(map(str, texts))) == (len(program.eqns) > 150)


def test_boxes_do_not_overlap():
    svg = ElementTree.fromstring(debug.picture(pb.grad(loss), X, W).svg)
    boxes = [tuple(float(r.get(k)) for k in ("x", "y", "width")) for r in svg.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(boxes) > 5
    for i, (x, y, w) in enumerate(boxes):
        assert x >= 0
        for x2, y2, w2 in boxes[i + 1 :]:
            assert y != y2 or x + w <= x2 or x2 + w2 <= x


# ---- memory --------------------------------------------------------------------------------------


def chain(x):
    for _ in range(10):
        x = jnp.sin(x)
    return x.sum()


def test_residuals_grow_and_go():
    n = 4000
    x = jnp.ones(n // 4)
    found = debug.memory_over_time(pb.grad(chain), x)
    assert found.peak.bytes == pytest.approx(12 * n, rel=0.2)
    assert found.steps[-1].bytes <= 4 * n
    forward = debug.memory_over_time(chain, x)
    assert forward.peak.bytes == 3 * n


def test_checkpoints_keep_less():
    n = 400_000
    x = jnp.ones(n // 4)

    def in_parts(x):
        part = pb.checkpoint(lambda x: jnp.sin(jnp.sin(jnp.sin(jnp.sin(jnp.sin(x))))))
        return part(part(part(part(x)))).sum()

    whole = debug.memory_over_time(pb.grad(lambda x: chain(chain_array(x))), x).peak.bytes
    assert debug.memory_over_time(pb.grad(in_parts), x).peak.bytes < 0.7 * whole


def chain_array(x):
    for _ in range(10):
        x = jnp.sin(x)
    return x


def test_the_curve_and_its_text():
    found = debug.memory_over_time(pb.grad(chain), jnp.ones(1000))
    assert "at most" in repr(found)
    assert "test_explaining.py" in repr(found)
    ElementTree.fromstring(found.svg)
    with pytest.raises(ValueError, match="no operations"):
        debug.memory_over_time(lambda x: x, 1.0)


@pytest.mark.parametrize("f", [debug.explain, debug.picture, debug.memory_over_time])
def test_errors_are_those_of_tracing(f):
    with pytest.raises(pb.errors.TracerBoolConversionError):
        f(lambda x: x if x > 0 else -x, 1.0)
