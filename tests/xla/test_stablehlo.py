"""What is written never makes the compiler end the process or compute something else: constants, sizes, names."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.errors import JaxRuntimeError

INTEGERS = ["int4", "uint4", "int8", "uint8", "int16", "uint16", "int32", "uint32"]


def three_ways(f, x):
    """`f(x)` of an argument, of a constant, and of what becomes a constant while XLA simplifies."""
    yield "argument", pb.jit(f)(x)
    yield "constant", pb.jit(lambda: f(x))()
    if not jnp.iscomplexobj(x):
        yield "simplified", pb.jit(lambda z: f((z & jnp.zeros((), x.dtype)) | x))(x)


def same(f, x):
    expected = f(x)
    for what, out in three_ways(f, x):
        for a, b in zip(pb.tree.leaves(out), pb.tree.leaves(expected), strict=True):
            assert a.dtype == b.dtype, what
            # Whatever the parts of a complex number that has a NaN are, it has one.
            assert np.array_equal(np.asarray(a, "c16"), np.asarray(b, "c16"), equal_nan=True), (what, a, b)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_at_their_limits(dtype):
    info = jnp.iinfo(dtype)
    lowest, largest = int(info.min), int(info.max)
    x = jnp.array(np.array([lowest, lowest, 0, 7, 7, largest, largest, lowest]).astype(np.int64)).astype(dtype)
    y = jnp.array(np.array([-1 if lowest else 1, 0, 0, 0, 2, -1 if lowest else 3, 0, lowest])).astype(dtype)

    def f(x):
        zero = x - x
        return (
            lax.div(x, y), lax.rem(x, y), x // y, x % y, lax.div(x, zero), lax.rem(x, zero), lax.clz(x), lax.population_count(x),
            lax.shift_left(x, y), lax.shift_right_logical(x, y), lax.shift_right_arithmetic(x, y), lax.fori_loop(0, 2, lambda i, c: c // y, x),
        )  # fmt: skip

    same(f, x)


def test_powers_of_integer_constants():
    base, exponent = jnp.array([0, 1, -1, 2, 2, -3]), jnp.array([-1, -1, -1, -1, 3, 2])
    same(lambda x: (x**exponent, jnp.full(6, 7) // x), base)


NAN = np.nan
COMPLEX = [
    0,
    1j,
    1,
    complex(NAN, 0),
    complex(0, NAN),
    complex(NAN, NAN),
    complex(1, NAN),
    -1,
    complex(np.inf, 1),
    complex(0, -0.0),
]
OF_ORDER = {
    "comparisons": lambda z: (z[:, None] < z, z[:, None] <= z, z[:, None] > z, z[:, None] >= z),
    "maximum": lambda z: (jnp.maximum(z[:, None], z), jnp.minimum(z[:, None], z), jnp.fmax(z[:, None], z), lax.max(z, z[::-1])),
    "reductions": lambda z: (z.max(), z.min(), z[:3].max(), jnp.nanmax(z), jnp.ptp(z)),
    "cumulative": lambda z: (lax.cummax(z), lax.cummin(z, reverse=True)),
    "sorting": lambda z: (jnp.sort(z), jnp.argsort(z), jnp.lexsort((z, z))),
    "searching": lambda z: (jnp.searchsorted(jnp.sort(z), z), jnp.searchsorted(jnp.sort(z), z, side="right")),
    "clamp": lambda z: lax.clamp(jnp.complex64(0), z, jnp.complex64(1)),
    "activations": lambda z: (pb.nn.relu(z), pb.nn.relu6(z), pb.nn.leaky_relu(z), pb.nn.hard_tanh(z)),
    "scatter": lambda z: (z.at[jnp.array([0, 0, 1])].max(jnp.array([5j, 0.5, 1])), z.at[jnp.array([0, 0])].min(-1j)),
    "windows": lambda z: lax.reduce_window(z, -jnp.inf + 0j, lax.max, (3,), (2,), "SAME"),
    "loops": lambda z: lax.while_loop(lambda c: c < jnp.complex64(5), lambda c: c + 1, z[2]),
    "finite": jnp.isfinite,
}  # fmt: skip


@pytest.mark.parametrize("name", OF_ORDER)
def test_order_of_complex_numbers(name):
    f = OF_ORDER[name]
    same(f, jnp.array(COMPLEX, "complex64"))
    z = jnp.array([1j, 1, 0, 1 + 1j, -1j], "complex64")
    same(f, z)

    def real_part(z):
        leaves = [x for x in pb.tree.leaves(f(z)) if jnp.iscomplexobj(x)]
        return sum(((x.real * jnp.arange(1.0, x.size + 1).reshape(x.shape)).sum() for x in leaves), jnp.float32(0))

    assert np.allclose(pb.jit(pb.grad(real_part))(z), pb.grad(real_part)(z))


def test_complex_numbers_are_ordered_as_numpy_orders_them():
    z = np.array([1j, 1, 0, 1 + 1j, -1j, -1, 1 - 1j], "complex64")
    for f in (pb.jit(jnp.sort), jnp.sort):
        assert np.array_equal(f(z), np.sort(z))
    for ours, theirs in ((jnp.less, np.less), (jnp.greater_equal, np.greater_equal), (jnp.maximum, np.maximum)):
        assert np.array_equal(pb.jit(ours)(z[:, None], z), theirs(z[:, None], z))


# ---- sizes --------------------------------------------------------------------------------------------------------

HUGE = 2**62
TOO_LARGE = {
    "zeros": lambda: jnp.zeros((HUGE, 4)),
    "zeros, empty": lambda: jnp.zeros((HUGE, 4, 0)),
    "ones": lambda: jnp.ones((2**40, 2**40)),
    "full": lambda: jnp.full((2**31, 2**31, 2**31), 1),
    "eye": lambda: jnp.eye(2**40),
    "arange": lambda: jnp.arange(HUGE),
    "iota": lambda: lax.broadcasted_iota("int32", (2**40, 2**40), 0),
    "broadcast_in_dim": lambda: lax.broadcast_in_dim(jnp.float32(1), (2**40, 2**40), ()),
    "pad": lambda: lax.pad(jnp.ones(2), 1.0, [(HUGE, 0, 0)]),
    "tile": lambda: jnp.tile(jnp.ones(3), HUGE),
    "random": lambda: pb.random.uniform(pb.random.PRNGKey(0), (HUGE,)),
    "product": lambda: jnp.zeros((2**40, 0)) @ jnp.zeros((0, 2**40)),
    "windows": lambda: lax.reduce_window(jnp.ones(3), 0.0, lax.add, (2,), (1,), [(HUGE, -HUGE)]),
    "convolution": lambda: lax.conv_general_dilated(jnp.ones((1, 1, 3)), jnp.ones((1, 1, 2)), (1,), [(HUGE, 1 - HUGE)]),
    "a constant that would be folded": lambda: jnp.argmax(jnp.zeros(2**45, bool)),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_sizes_beyond_memory(name):
    with pytest.raises((ValueError, MemoryError, OverflowError, TypeError, JaxRuntimeError)):
        pb.block_until_ready(pb.jit(TOO_LARGE[name])())
    if name not in ("windows", "convolution"):
        with pytest.raises((ValueError, MemoryError, OverflowError, TypeError)):
            TOO_LARGE[name]()


@pytest.mark.parametrize(
    "config",
    [
        (HUGE, -HUGE, 0),
        (-HUGE, HUGE, 0),
        (1, 3 - 4 * 2**40, 2**40 - 1),
        (1 - 2**40, 2 - 3 * 2**40, 2**40 - 1),
        (-1, 2, 1),
    ],
)
def test_padding_by_large_numbers(config):
    f = lambda x: lax.pad(x, 9.0, [config])
    x = jnp.arange(1.0, 6.0)
    expected = f(x)
    assert expected.shape[0] < 20 and np.array_equal(pb.jit(f)(x), expected)
    weights = jnp.arange(1.0, expected.shape[0] + 1)
    g = pb.grad(lambda x: (f(x) * weights).sum())
    assert np.array_equal(pb.jit(g)(x), g(x))


def test_strides_beyond_the_axis():
    for f in (lambda x: lax.slice(x, (1,), (5,), (HUGE,)), lambda x: x[::HUGE], lambda x: x[::-HUGE]):
        x = jnp.arange(5.0)
        assert np.array_equal(pb.jit(f)(x), f(x))


def test_large_arrays_of_one_scalar_are_no_constants():
    """XLA would compute what follows from them while it compiles, in memory."""
    n = 2**26
    text = pb.jit(lambda: jnp.full(n, True).all()).lower().as_text()
    assert "%scalar0" in text
    assert pb.jit(lambda: (jnp.full(n, True).all(), jnp.zeros(n, "bfloat16").max()))() == (True, 0)


@pytest.mark.parametrize("call", [
    lambda: lax.broadcast_in_dim(1.0, (-3, 2), ()), lambda: lax.broadcast(1.0, (-1,)), lambda: jnp.zeros(-1), lambda: lax.iota("int32", -1),
    lambda: jnp.eye(-1), lambda: pb.nn.one_hot(1, -1), lambda: pb.random.bits(pb.random.PRNGKey(0), (-1,)),
])  # fmt: skip
def test_negative_sizes(call):
    for f in (call, pb.jit(call)):
        with pytest.raises((TypeError, ValueError)):
            f()


# ---- names --------------------------------------------------------------------------------------------------------

NAMES = [
    "a\nb",
    'q"uote',
    "back\\slash",
    "tab\t",
    "é\x07",
    "nul\0",
    "",
    "日本語",
    "\udc80",
    ' loc("x")',
    "{}",
    "\r\x0b",
    "\\22",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_any_characters(name):
    x = jnp.arange(4.0)

    def f(x):
        with pb.named_scope(name):
            return jnp.sin(pb.ad_checkpoint.checkpoint_name(x, name))

    f.__name__ = f.__qualname__ = name
    g = pb.jit(f)
    assert np.allclose(g(x), np.sin(x))
    assert "sine" in g.lower(x).as_text() and g.lower(x).compile().as_text()
    assert pb.jit(lambda d: d[name] + 1)({name: 1.0}) == 2
    assert np.allclose(pb.jit(pb.vmap(lambda x: lax.psum(x, name), axis_name=name))(x), 6)
    exported = pb.export.deserialize(pb.export.export(g)(x).serialize())
    assert np.allclose(exported.call(x), np.sin(x))
    if "\0" not in name and name.isprintable():
        scope = {"jnp": jnp}
        exec(compile("def f(x): return jnp.sin(x)", name, "exec"), scope)
        assert np.allclose(pb.jit(scope["f"])(x), np.sin(x))


def convertible():
    from pullback.core import dtypes

    return [d for d in dtypes._KINDS if d not in (dtypes.KEY, dtypes.float0) and dtypes.itemsize_bits(d) <= 64]


@pytest.mark.parametrize("source", convertible(), ids=str)
def test_conversions_are_those_of_eager_code(source):
    x = jnp.array([0.0, 1.0, -1.0, 2.0, 1.5, 3.0]).astype(source)
    targets = [d for d in convertible() if not str(d).startswith("float6_")]
    expected = [x.astype(d) for d in convertible()]
    if str(source).startswith("float6_"):
        with pytest.raises(TypeError, match="cannot compute with dtype float6"):
            pb.jit(lambda x: x + x)(x)
        return
    found = pb.jit(lambda x: [x.astype(d) for d in targets])(x)
    for d, y in zip(convertible(), expected):
        if d in targets:
            z = found[targets.index(d)]
            assert z.dtype == y.dtype
            assert np.array_equal(np.asarray(z, "c16"), np.asarray(y, "c16"), equal_nan=True), (d, z, y)
        else:
            with pytest.raises(TypeError, match="cannot compute with dtype float6"):
                pb.jit(lambda x, d=d: x.astype(d))(x)
