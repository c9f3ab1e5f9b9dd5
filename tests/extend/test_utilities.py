"""Wrapped functions, functions of trees as functions of leaves, metadata, layouts, the runtime, random words."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import api_util, dtypes, random
from pullback.experimental.layout import Format, Layout, with_layout_constraint
from pullback.experimental.xla_metadata import set_xla_metadata
from pullback.extend import backend
from pullback.extend import linear_util as lu
from pullback.extend import random as bits
from pullback.tree import structure

# ---- wrapped functions ---------------------------------------------------------------------------


@lu.transformation
def scaled(factor, *args):
    out = yield [factor * x for x in args], {}
    yield out + 1


@lu.transformation_with_aux
def counting(*args, **kwargs):
    out = yield args, kwargs
    yield out, len(args)


@lu.transformation2
def plus(inner, n, *args):
    return inner(*args) + n


def test_transformations_of_wrapped_functions():
    f = lambda x, y=0, *, z=0: x + 10 * y + 100 * z
    fun = lu.wrap_init(f, {"z": 1})
    assert fun.call_wrapped(1, 2) == 121 and fun.__name__ == "<lambda>"
    assert scaled(fun, 2).call_wrapped(1, 2) == 100 + 42 + 1
    wrapped, count = counting(plus(scaled(fun, 2), 1000))
    with pytest.raises(lu.StoreException, match="has not been called"):
        count()
    assert wrapped.call_wrapped(1, 2) == 1143 and count() == 2
    with pytest.raises(lu.StoreException, match="stored already"):
        wrapped.call_wrapped(1)
    other, other_count = counting(plus(scaled(lu.wrap_init(f, {"z": 1}), 2), 1000))
    assert wrapped == other and hash(wrapped) == hash(other) and wrapped != fun
    assert lu.merge_linear_aux(count, other_count) == (True, 2) and lu.merge_linear_aux(other_count, count) == (
        False,
        2,
    )
    other.populate_stores(wrapped.stores)
    with pytest.raises(lu.StoreException, match="both"):
        lu.merge_linear_aux(count, other_count)
    assert scaled(fun, 2) != scaled(fun, 3) and "scaled" in repr(scaled(fun, 2))
    with pytest.raises(TypeError, match="takes a function"):
        lu.wrap_init(3)


def test_what_is_remembered_of_wrapped_functions():
    calls = []

    @lu.cache
    def length(fun, n):
        calls.append(n)
        return len(str(fun.call_wrapped(*[1] * n)))

    f = lambda *args: sum(args)
    for _ in range(2):
        fun, count = counting(lu.wrap_init(f))
        assert length(fun, 12) == 2 and count() == 12
    assert calls == [12]
    with pb.enable_x64(True):
        fun, count = counting(lu.wrap_init(f))
        length(fun, 12)
    assert calls == [12, 12]
    length.cache_clear()
    length(counting(lu.wrap_init(f))[0], 12)
    assert len(calls) == 3


# ---- functions of trees --------------------------------------------------------------------------


def test_functions_of_trees_as_functions_of_leaves():
    f = lambda tree, *, scale: {"y": scale * tree["a"], "z": tree["b"]}
    flat, out_tree = api_util.flatten_fun(lu.wrap_init(f), structure((({"a": 1, "b": 2},), {"scale": 3})))
    assert flat.call_wrapped(5, 6, 7) == [35, 6] and out_tree() == structure({"y": 0, "z": 0})
    flat, out_tree = api_util.flatten_fun_nokwargs(lu.wrap_init(lambda x, y: (y, (x,))), structure((1, 2)))
    assert flat.call_wrapped(1, 2) == [2, 1] and out_tree() == structure((0, (0,)))
    g, args = api_util.argnums_partial(lu.wrap_init(lambda x, y, z: (x, y, z)), (-1, 0), ("s", 7, "t"))
    assert args == ("t", "s") and g.call_wrapped(1, 2) == (2, 7, 1)
    h, _ = api_util.argnums_partial(lu.wrap_init(len), 0, ("s", 8))
    assert g != h
    with pytest.raises(ValueError, match=r"static argument 1, \[1\] of type 'list', must be hashable"):
        api_util.argnums_partial(lu.wrap_init(max), 0, (1, [1]))
    with pytest.raises(ValueError, match="must number some of the 2"):
        api_util.argnums_partial(lu.wrap_init(max), 2, (1, 2))
    tree = structure({"a": 0, "b": (1, 2)})
    assert api_util.flatten_axes("axes", tree, {"a": 0, "b": None}) == [0, None, None]
    assert api_util.flatten_axes("axes", tree, 1) == [1, 1, 1]
    assert api_util.flatten_axes("axes", structure(((1, 2), {"k": 3})), (None, 1), kws=True) == [None, 1, 0]
    with pytest.raises(ValueError, match="axes .* is not a tree prefix"):
        api_util.flatten_axes("axes", tree, (1, 2))
    assert api_util.donation_vector((1,), (), structure(((1, (2, 3)), {}))) == (False, True, True)
    assert api_util.rebase_donate_argnums((0, 2), (1,)) == (0, 1)
    with pytest.raises(ValueError, match="lengths"):
        api_util.safe_map(max, [1], [2, 3])
    with pytest.raises(TypeError):
        api_util.shaped_abstractify("text")
    info = api_util.debug_info("jit", f, ({"a": 1, "b": 2},), {"scale": 3})
    assert info.arg_names == ("tree['a']", "tree['b']", "scale") and info.func_filename == __file__
    assert info.safe_arg_names(3) == info.arg_names and info.safe_arg_names(1) == ("",)
    assert api_util.debug_info("jit", max, (1, 2), {}).arg_names is None or True
    assert api_util.debug_info("jit", lambda x, n: x, (1, 2), {}, static_argnums=(1,)).arg_names == ("x",)


# ---- metadata ------------------------------------------------------------------------------------


def texts(f, *args):
    """The operations of a lowered function to which something is attached, and what."""
    found = {}
    for line in pb.jit(f).lower(*args).as_text().splitlines():
        head, _, attached = line.partition("mhlo.frontend_attributes = ")
        if attached:
            operation = head.partition("stablehlo.")[2].partition('"')[0]
            found[operation or "}"] = attached.partition("}")[0] + "}"
    return found


def test_metadata_is_attached_to_operations():
    def f(x):
        y = set_xla_metadata(jnp.sin(x), breakpoint=True, name="a")
        with set_xla_metadata(b="c", n=3):
            y = y * 2
            with set_xla_metadata(b="d"):
                y = y - x

        @set_xla_metadata(q=1.5)
        def decorated(z):
            return jnp.cos(z)

        return jnp.exp(decorated(y))

    assert texts(f, 1.0) == {
        "sine": '{breakpoint = "true", name = "a"}',
        "multiply": '{b = "c", n = "3"}',
        "subtract": '{b = "d", n = "3"}',
        "cosine": '{q = "1.5"}',
    }
    g = lambda x: jnp.exp(jnp.cos(jnp.sin(x) * 2 - x))
    np.testing.assert_allclose(pb.jit(f)(0.3), g(0.3), rtol=1e-6)
    np.testing.assert_allclose(
        pb.jit(pb.vmap(pb.grad(f)))(jnp.arange(2.0)), pb.vmap(pb.grad(g))(jnp.arange(2.0)), rtol=1e-5
    )
    np.testing.assert_allclose(f(0.3), g(0.3), rtol=1e-6)
    over_a_loop = lambda x: set_xla_metadata(pb.lax.fori_loop(0, 3, lambda i, c: c * 2, x), loop="1")
    text = pb.jit(over_a_loop).lower(1.0).as_text()
    assert '}) {mhlo.frontend_attributes = {loop = "1"}}' in text and "func.call" in text
    long_loop = lambda x: set_xla_metadata(pb.lax.while_loop(lambda c: (c < 9).any(), lambda c: c @ c.T, x), loop="1")
    assert texts(long_loop, jnp.ones((40, 40))) == {"}": '{loop = "1"}'}

    def nested(x):
        with set_xla_metadata(a="b", c="d"):
            y = jnp.sin(x)
        return set_xla_metadata(y, a="e", f='"g"}}')

    assert texts(nested, 1.0) == {"sine": '{a = "e", c = "d", f = "\\22g\\22}'}
    assert float(pb.jit(nested)(0.0)) == 0.0
    np.testing.assert_allclose(pb.jit(over_a_loop)(1.0), 8.0)
    assert texts(lambda x: set_xla_metadata(x, a="b") + 1, 1.0) == {}  # an argument has no operation
    assert texts(lambda x: set_xla_metadata(jnp.sin(x), **{"a b": '"'}), 1.0) == {"sine": '{"a b" = "\\22"}'}


def test_metadata_is_attached_where_it_holds():
    traced = []
    h = pb.jit(lambda x: traced.append(1) or x * 3)
    for _ in range(2):
        with set_xla_metadata(outer=1):
            h(1.0)
            with set_xla_metadata(outer=2):
                h(1.0)
        h(1.0)
        assert len(traced) == 3
    with set_xla_metadata(outer=1):
        assert 'outer = "1"' in h.lower(1.0).as_text()
    assert "outer" not in h.lower(1.0).as_text()
    tree = set_xla_metadata({"a": jnp.ones(2), "b": 1.0}, k=1)
    assert tree["a"].tolist() == [1.0, 1.0] and set_xla_metadata(3.0) == 3.0
    for wrong in (lambda: set_xla_metadata(a=[1]), lambda: set_xla_metadata("text", a=1)):
        with pytest.raises(TypeError):
            wrong()


# ---- layouts -------------------------------------------------------------------------------------


def test_layouts_describe_arrays_that_are_row_major():
    x = jnp.ones((2, 3))
    assert x.format == Format(Layout((0, 1)), x.sharding) and x.format.sharding == x.sharding
    assert pb.device_put(x, Format(Layout((1, 0)), x.sharding)).tolist() == x.tolist()
    assert pb.jit(lambda x: with_layout_constraint(x * 2, Layout((1, 0))))(x).tolist() == (2 * x).tolist()
    assert pb.ShapeDtypeStruct((2, 3), "float32", sharding=x.format).sharding == x.sharding
    assert pb.ShapeDtypeStruct((2,), "int8").update(dtype="int16") == pb.ShapeDtypeStruct((2,), "int16")
    assert (
        Layout((1, 0)).update(tiling=((2,),)).tiling == ((2,),)
        and Layout.AUTO is not None
        and len({Format(), Format()}) == 1
    )
    for wrong, message in (
        (lambda: Format(3), "layout must be a Layout"),
        (lambda: Format(Layout((0,))), "needs a sharding"),
        (lambda: with_layout_constraint(x, Layout((0,))), r"does not order the axes of an array of shape \(2, 3\)"),
        (lambda: with_layout_constraint(x, 3), "layouts must be of type Layout"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
    with pytest.raises(AttributeError, match="traced"):
        pb.jit(lambda x: x.format)(x)


# ---- types, the runtime, random words ------------------------------------------------------------


def test_types_of_elements_and_keys():
    assert isinstance(jnp.ones(2).dtype, dtypes.DType) and isinstance(random.key(0).dtype, dtypes.ExtendedDType)
    assert not isinstance(random.key(0).dtype, dtypes.DType)
    assert isinstance(random.split(random.key(0)), random.Key) and not isinstance(random.PRNGKey(0), random.Key)
    assert pb.jit(lambda k: isinstance(k, random.Key))(random.key(0)) == True  # noqa: E712
    with pytest.raises(TypeError, match="random.key"):
        random.Key()


def test_the_runtime():
    assert backend.get_backend().platform == "cpu" == backend.get_default_device().platform
    assert backend.get_backend(backend.get_backend()) is backend.backends()["cpu"]
    assert backend.backend_xla_version() is None or backend.backend_xla_version() > 0
    with pytest.raises(RuntimeError, match="Unknown backend 'abacus'"):
        backend.get_backend("abacus")


def test_random_words():
    """Test vectors of Random123 (Salmon et al. 2011), and the functions behind `random`."""
    zero, ones = np.uint32(0), np.uint32(2**32 - 1)
    vectors = [
        ((zero, zero), (zero, zero), (0x6B200159, 0x99BA4EFE)),
        ((ones, ones), (ones, ones), (0x1CB996FC, 0xBB002BE7)),
        (
            tuple(np.uint32([0x13198A2E, 0x03707344])),
            tuple(np.uint32([0x243F6A88, 0x85A308D3])),
            (0xC4923A9C, 0x483DF7A0),
        ),
    ]
    for key, count, wanted in vectors:
        assert bits.threefry_2x32(key, np.array(count)).tolist() == list(wanted)
        assert pb.jit(bits.threefry_2x32)(key, np.array(count)).tolist() == list(wanted)
    assert bits.threefry_2x32((zero, zero), np.arange(3, dtype="uint32")).shape == (3,)
    with pytest.raises(TypeError, match="takes uint32"):
        bits.threefry_2x32((zero, zero), np.arange(3))
    impl = bits.threefry_prng_impl
    raw = impl.seed(3)
    assert raw.tolist() == random.PRNGKey(3).tolist() and impl.key_shape == raw.shape
    assert impl.split(raw, (2,)).tolist() == random.split(raw).tolist()
    assert impl.fold_in(raw, np.uint32(7)).tolist() == random.fold_in(raw, 7).tolist()
    assert impl.random_bits(raw, 32, (4,)).tolist() == random.bits(raw, (4,)).tolist()
    assert bits.seed_with_impl(impl, 3) == random.key(3) and repr(impl).startswith("PRNGImpl(name='threefry2x32'")
    assert bits.random_seed(np.arange(2), impl).shape == (2,)
    with pytest.raises(ValueError, match="threefry_prng_impl"):
        bits.seed_with_impl(impl._replace(name="mine"), 0)


def test_records_can_be_pickled():
    for x in (Layout((1, 0)), Format(), Layout.AUTO):
        assert pickle.loads(pickle.dumps(x)) == x
