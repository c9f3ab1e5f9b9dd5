"""jit: what is traced and how often, arguments of every kind, composition with the transformations, and what is refused."""

import copy
import logging
import pickle
from collections import namedtuple
from functools import partial
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp


class Counted:
    """A function that counts how often it is run, which under jit is how often it is traced."""

    def __init__(self, fun):
        self.fun, self.count = fun, 0

    def __call__(self, *args, **kwargs):
        self.count += 1
        return self.fun(*args, **kwargs)


def test_decorator_forms():
    @pb.jit
    def plain(x):
        """Doubles."""
        return 2 * x

    @pb.jit(static_argnums=1)
    def with_arguments(x, n):
        return x * n

    @partial(pb.jit, static_argnames=("flag",))
    def named(x, flag=False):
        return -x if flag else x

    assert plain(3.0) == 6.0 and plain.__name__ == "plain" and plain.__doc__ == "Doubles."
    assert with_arguments(3.0, 2) == 6.0
    assert named(3.0, flag=True) == -3.0 and named(3.0) == 3.0


def test_it_composes_both_ways_round():
    f = lambda x: jnp.sum(jnp.sin(x) ** 2)
    x = jnp.arange(3.0)
    expected = pb.grad(f)(x)
    assert np.allclose(pb.jit(pb.grad(f))(x), expected)
    assert np.allclose(pb.grad(pb.jit(f))(x), expected)
    assert np.allclose(pb.vmap(pb.jit(jnp.sin))(x), jnp.sin(x))
    y, pullback = pb.vjp(f, x)
    assert np.allclose(pb.jit(pullback)(1.0)[0], expected)


def test_methods():
    class Model:
        def __init__(self, w):
            self.w = w

        @partial(pb.jit, static_argnums=0)
        def apply(self, x):
            return self.w * x

    assert Model(3.0).apply(2.0) == 6.0


def test_arguments_are_trees_of_arrays():
    f = pb.jit(lambda tree: tree["a"] + tree["b"][0])
    assert f({"a": 1.0, "b": (np.float32(2.0),)}) == 3.0
    with pytest.raises(TypeError, match=r"\['name'\].*static_argnums|static"):
        f({"name": "text"})


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: pb.jit(lambda x: x, static_argnums=0)([1]), ValueError, "Non-hashable"),
        (lambda: pb.jit(lambda x: x, static_argnums=3), ValueError, "static_argnums"),
        (lambda: pb.jit(lambda x: x, static_argnames="y"), ValueError, "static_argnames"),
        (lambda: pb.jit(3), TypeError, "callable"),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ---- how often a function is traced -----------------------------------------------------------------------------


def test_a_program_is_traced_once_for_each_type():
    counted = Counted(lambda x: 2 * x)
    f = pb.jit(counted)
    for x in (jnp.ones(3), jnp.zeros(3), np.ones(3, np.float32)):
        f(x)
    assert counted.count == 1
    f(jnp.ones(4)), f(jnp.ones(3, jnp.int32)), f(1.0), f(2.0), f(jnp.float32(1.0))
    assert counted.count == 5  # another shape, another dtype, a weak scalar (once), a strong one


def test_options_that_change_what_is_traced_are_part_of_the_key():
    counted = Counted(lambda: jnp.arange(3))
    f = pb.jit(counted)
    assert f().dtype == jnp.int32
    with pb.enable_x64(True):
        assert f().dtype == jnp.int64
        f()
    assert f().dtype == jnp.int32
    assert counted.count == 2


def test_jit_of_the_same_function_made_again_finds_its_programs():
    counted = Counted(lambda x: x + 1)
    for _ in range(3):
        pb.jit(counted)(1.0)
    assert counted.count == 1
    pb.clear_caches()
    pb.jit(counted)(1.0)
    assert counted.count == 2


def test_derivatives_of_jitted_functions_are_traced_once():
    counted = Counted(lambda x, y: jnp.sum(jnp.sin(x) * y))
    f = pb.jit(counted)
    x, y = jnp.arange(3.0), jnp.ones(3)
    for _ in range(3):
        g = pb.grad(f)(x, y)
        pb.grad(f, argnums=(0, 1))(x, y)
        pb.jvp(f, (x, y), (x, y))
        pb.vmap(f, (0, None))(jnp.ones((4, 3)), y)
        pb.hessian(f)(x, y)
    assert counted.count == 1
    assert np.allclose(g, np.cos(x))


def test_an_error_while_tracing_leaves_nothing_behind():
    attempts = []

    @pb.jit
    def f(x):
        attempts.append(x)
        if len(attempts) == 1:
            raise KeyError("first")
        return x + 1

    with pytest.raises(KeyError, match="first"):
        f(1.0)
    assert f(1.0) == 2.0


def test_cache_misses_are_explained(caplog):
    with pb.config.option("explain_cache_misses")(True), caplog.at_level(logging.WARNING, "pullback.jit"):
        f = pb.jit(lambda p, n: p["w"] * n, static_argnums=1)
        f({"w": jnp.ones(3)}, 2)
        f({"w": jnp.ones(4)}, 2)
        f({"w": jnp.ones(4)}, 3)
        f({"w": 1.0}, 3)
        f({"w": 1.0, "b": 1.0}, 3)
        for _ in range(2):
            pb.jit(lambda x: x)(1.0)
    texts = [r.getMessage() for r in caplog.records]
    for text, part in zip(
        texts,
        ["never traced before", "shape changed", "static argument 1 is 3, was 2", "weak type changed", "structure",
         "never traced", "another function object"], strict=True,
    ):  # fmt: skip
        assert part in text
        assert __file__ in text
    assert "argument 0 ('p'), leaf ['w']," in texts[1]


# ---- arguments and results --------------------------------------------------------------------------------------


def test_results_keep_structure_dtype_and_weakness():
    Point = namedtuple("Point", "x y")
    f = lambda p: {"a": Point(p[0] * 2, (p[1], None)), "b": [3, p[1] > 0], "c": np.float32(1)}
    expected, got = f((1.0, jnp.arange(3))), pb.jit(f)((1.0, jnp.arange(3)))
    assert pb.tree.structure(got) == pb.tree.structure(expected)
    for a, b in zip(pb.tree.leaves(got), map(jnp.asarray, pb.tree.leaves(expected))):
        assert a.dtype == b.dtype and a.weak_type == b.weak_type and np.array_equal(a, b)


def test_arguments_that_are_not_used_and_results_that_are_arguments():
    f = pb.jit(lambda x, y, z: (y, y, 1.5))
    x = jnp.ones(3)
    assert [np.asarray(o).tolist() for o in f(x, 2.0, "x" and x)] == [2.0, 2.0, 1.5]
    assert pb.jit(lambda: ())() == ()
    assert pb.jit(lambda x: None)(x) is None


def test_what_the_caller_writes_into_its_array_afterwards_changes_nothing():
    f = pb.jit(lambda x: (x, x + 0))
    for size in (3, 100_000):
        x = np.ones(size, np.float32)
        f(x)
        results = f(x)
        x[:] = 7
        assert all(np.all(np.asarray(r) == 1) for r in results)
        with pytest.raises(ValueError, match="read-only"):
            np.asarray(results[0])[0] = 3


def test_arguments_without_tangents_and_their_tangents():
    f = lambda x, i: x * i
    value, gradient = pb.jit(pb.value_and_grad(f, argnums=(0, 1), allow_int=True))(3.0, 2)
    assert value == 6.0 and gradient[0] == 2.0 and gradient[1].dtype == pb.dtypes.float0
    y, pullback = pb.vjp(pb.jit(f), 3.0, 2)
    assert pullback(1.0)[0] == 2.0 and pullback(1.0)[1].dtype == pb.dtypes.float0
    y, t = pb.jit(lambda i: pb.jvp(lambda i: i, (i,), (np.zeros((), pb.dtypes.float0),)))(1)
    assert y == 1 and t.dtype == pb.dtypes.float0


@pytest.mark.parametrize(
    "dtype", ["bfloat16", "float16", "float8_e4m3fn", "int4", "uint4", "bool", "complex64", "uint64"]
)
def test_every_dtype_crosses_the_border(dtype):
    with pb.enable_x64(True):
        x = jnp.array([0, 1, 1, 0], dtype)
        y = pb.jit(lambda x: x[::-1])(x)
        assert y.dtype == x.dtype and np.array_equal(np.asarray(y), np.asarray(x)[::-1])


def test_keys_cross_the_border():
    key = pb.random.key(3)
    assert np.array_equal(pb.random.key_data(pb.jit(lambda k: k)(key)), pb.random.key_data(key))


def test_linear_maps_and_other_callable_trees_are_arguments():
    x = jnp.arange(3.0)
    _, f_lin = pb.linearize(lambda x: jnp.sin(x) * x, x)
    apply = pb.jit(lambda m, v: (m(v), m.T(v)))
    for a, b in zip(pb.tree.leaves(apply(f_lin, x)), pb.tree.leaves((f_lin(x), f_lin.T(x)))):
        assert np.allclose(a, b)
    m = pb.jit(lambda x: pb.linearize(jnp.sin, x)[1])(x)
    assert np.allclose(m(x), np.cos(x) * x)
    assert np.allclose(
        pb.jit(pb.partial(lambda m, v: m(v), m) if hasattr(pb, "partial") else partial(lambda m, v: m(v), m))(x), m(x)
    )


# ---- composition ------------------------------------------------------------------------------------------------


def test_closures_over_values_of_enclosing_transformations():
    x = jnp.arange(3.0)

    def outer(x):
        return jnp.sum(pb.jit(lambda y: y * x)(x + 1))

    expected = 2 * np.arange(3.0) + 1
    assert np.allclose(pb.grad(outer)(x), expected)
    assert np.allclose(pb.jit(pb.grad(outer))(x), expected)
    assert np.allclose(pb.vmap(pb.grad(outer))(jnp.stack([x, x])), [expected] * 2)
    assert np.allclose(pb.hessian(outer)(x), 2 * np.eye(3))


def test_custom_rules_inside_and_around():
    @pb.custom_vjp
    def f(x):
        return jnp.sin(x)

    f.defvjp(lambda x: (jnp.sin(x), x), lambda x, ct: (7 * ct,))
    assert pb.grad(pb.jit(f))(1.0) == 7.0
    assert pb.jit(pb.grad(f))(1.0) == 7.0
    assert pb.jit(pb.grad(lambda x: pb.jit(f)(x) ** 2))(0.0) == 0.0
    assert np.allclose(pb.jit(pb.vmap(pb.grad(f)))(jnp.ones(3)), 7.0)

    @pb.custom_jvp
    def g(x):
        return x**2

    g.defjvp(lambda x, t: (g(*x), 5 * t[0]))
    assert pb.grad(pb.jit(g))(1.0) == 5.0 and pb.jit(pb.grad(pb.jit(g)))(1.0) == 5.0


def test_checkpoint_is_not_undone_by_common_subexpressions():
    """The recomputation stays in the program."""
    f = pb.checkpoint(lambda x: jnp.sin(jnp.sin(x)))
    text = pb.jit(pb.value_and_grad(lambda x: jnp.sum(f(x)))).lower(jnp.ones(3)).as_text()
    assert text.count("stablehlo.sine") == 3  # two for the value; of the recomputed ones, the last is not needed


def test_disable_jit():
    counted = Counted(lambda x: x + 1)
    with pb.disable_jit():
        f = pb.jit(counted)
        f(1.0), f(2.0)
    assert counted.count == 2


def test_python_sees_no_values():
    @pb.jit
    def f(x):
        return x if x > 0 else -x

    with pytest.raises(pb.errors.TracerBoolConversionError, match=r"test_jit\.py:\d+"):
        f(1.0)
    with pytest.raises(pb.errors.ConcretizationTypeError, match="float32"):
        pb.jit(lambda x: float(x))(1.0)
    with pytest.raises(pb.errors.TracerIntegerConversionError):
        pb.jit(lambda n: [1, 2][n])(1)
    with pytest.raises(TypeError, match="concrete integers"):
        pb.jit(lambda n: jnp.zeros(n))(3)
    with pytest.raises(pb.errors.TracerArrayConversionError):
        pb.jit(np.asarray)(1.0)


def test_leaks_are_found():
    kept = []
    pb.jit(lambda x: kept.append(x) or x)(1.0)
    with pytest.raises(pb.errors.UnexpectedTracerError, match="leaked"):
        kept[0] + 1
    with pytest.raises(pb.errors.UnexpectedTracerError):
        pb.jit(lambda x: x + 1)(kept[0])
    with pytest.raises(pb.errors.UnexpectedTracerError):
        pb.jit(lambda x: x + kept[0])(1.0)


def test_donation():
    f = pb.jit(lambda x, y: x + y, donate_argnums=0)
    x, y = jnp.ones(1000), jnp.ones(1000)
    assert np.all(np.asarray(f(x, y)) == 2)
    assert x.is_deleted() and not y.is_deleted()
    with pytest.raises(RuntimeError, match="deleted"):
        f(x, y)
    with pytest.raises(RuntimeError, match="deleted"):
        x + 1


def test_inline_leaves_no_call():
    f = pb.jit(lambda x: x + 1, inline=True)
    assert "jit" not in str(pb.make_jaxpr(f)(1.0))
    assert "jit" in str(pb.make_jaxpr(pb.jit(lambda x: x + 1))(1.0))


# ---- small NumPy arguments, whose memory is lent ---------------------------------------------------------------------


def test_small_numpy_arguments_that_change_between_calls() -> None:
    functions = [lambda x: x, lambda x: (x, x + 1), lambda x: x.reshape(3, 1), lambda x: x[::-1], lambda x: {"a": -x}]
    for f in map(pb.jit, functions):
        x = np.arange(3.0, dtype=np.float32)
        results, expected = [], []
        for i in range(20):
            x[:] = i + np.arange(3)
            results.append(f(x))
            expected.append(pb.tree.map(np.array, f.__wrapped__(jnp.array(x))))
            x[:] = -1
        for got, want in zip(results, expected):
            pb.tree.map(np.testing.assert_array_equal, got, want)


def test_small_numpy_arguments_of_every_type_and_layout() -> None:
    f = pb.jit(lambda x, y: [x, y * 2])
    base = np.arange(24).reshape(2, 3, 4)
    for x64 in (False, True):
        with pb.enable_x64(x64):
            for dtype in "bhilBHILefdFD?":
                for x in (
                    base.astype(dtype),
                    base.astype(dtype)[:, ::-1, ::2].T,
                    base.astype(dtype)[1, 1, 1:2].reshape(()),
                ):
                    for _ in range(3):
                        a, b = f(x, x)
                        expected = jnp.asarray(x)
                        assert (a.dtype, a.weak_type) == (expected.dtype, False)
                        np.testing.assert_array_equal(a, x)
                        np.testing.assert_array_equal(b, expected * 2)


def test_small_numpy_arguments_that_a_callback_keeps() -> None:
    seen: list[Any] = []

    @pb.jit
    def f(x: Any) -> Any:
        pb.debug.callback(lambda v: seen.append(v), x)
        return x + 1

    for i in range(5):
        f(np.full(3, i, np.float32))
    assert [float(v[0]) for v in seen] == [0, 1, 2, 3, 4]


def test_small_numpy_arguments_from_several_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    f = pb.jit(lambda x: x * 2)

    def work(i: int) -> bool:
        x = np.full(100, i, np.float32)
        return all(bool((np.asarray(f(x + j)) == 2 * (i + j)).all()) for j in range(200))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(16)))


def test_long_computations_keep_what_they_borrowed() -> None:
    f = pb.jit(lambda x, y: jnp.sin(jnp.outer(x, jnp.ones(200_000))).sum(1) * 0 + y)
    x, y = np.ones(10, np.float32), np.zeros(10, np.float32)
    results = []
    for i in range(6):
        y[:] = i
        results.append(f(x, y))
    assert [float(r[0]) for r in results] == [0, 1, 2, 3, 4, 5]


@partial(pb.jit, static_argnames="n")
def scaled(x, n=2):
    return x * n


class Model:
    def __init__(self):
        self.apply = pb.jit(lambda x: x + 1)

    @partial(pb.jit, static_argnums=0)
    def method(self, x):
        return x * 3


def test_copies_and_pickles_leave_what_is_compiled_behind():
    for function in (scaled, Model.method):  # found by their names
        assert pickle.loads(pickle.dumps(function)) is function and copy.deepcopy(function) is function
    other = pb.jit(jnp.sin, keep_unused=True)
    other(1.0)
    again = pickle.loads(pickle.dumps(other))
    assert again.__wrapped__ is jnp.sin and again._settings.keep_unused and again(1.0) == other(1.0)
    model = Model()
    model.apply(1.0)
    assert copy.deepcopy(model).apply(2.0) == 3.0
    assert copy.copy(model.apply)(2.0) == 3.0


def test_compiler_options_may_be_texts():
    options = {"xla_cpu_enable_fast_math": "True", "xla_backend_optimization_level": "1"}
    assert pb.jit(lambda x: x + 2, compiler_options=options)(1.0) == 3.0


_EQUAL = [
    0.0, -0.0, 0, False, True, 1, 1.0, complex(0, 0), complex(-0.0, 0), complex(0, -0.0), complex(-0.0, -0.0), complex(1, 0.0),
    complex(1, -0.0), complex(-1, 0.0), complex(-1, -0.0), np.float32(0), np.float32(-0.0), np.complex64(complex(-1, -0.0)), np.True_,
    float("nan"), float("inf"),
]  # fmt: skip


def _signs(z):
    """What tells numbers from others that equal them."""
    w = jnp.asarray(z).astype("complex64")
    return jnp.stack([jnp.copysign(1.0, w.real), jnp.copysign(1.0, w.imag), w.real, w.imag]), jnp.asarray(z)


_static = pb.jit(lambda t: _signs(t[0][1]), static_argnums=0)
_named = pb.jit(lambda *, z: _signs(z), static_argnames="z")
_either = pb.jit(lambda p, z: pb.lax.cond(p, _signs, _signs, z))


@pytest.mark.parametrize(
    "call",
    [
        pb.jit(_signs),
        pb.jit(_signs, static_argnums=0),
        lambda z: _static(((2, z),)),
        lambda z: _named(z=z),
        lambda z: pb.jit(lambda: _signs(z))(),
        lambda z: _in_a_loop(z),
        lambda z: pb.lax.cond(True, _signs, _signs, z),
        lambda z: _either(True, z),
        lambda z: (pb.lax.scan(lambda c, _: (c, _signs(c)[0]), z, None, length=1)[1][0], jnp.asarray(z)),
    ],
)
def test_scalars_that_are_equal_are_not_taken_for_each_other(call):
    for z in [*_EQUAL, *reversed(_EQUAL)]:
        want, got = _signs(z), call(z)
        assert got[1].dtype == want[1].dtype
        np.testing.assert_array_equal(got[0], want[0])


def _in_a_loop(z):
    carry = (jnp.asarray(z), jnp.zeros(4))
    out = pb.lax.fori_loop(0, 1, lambda _, c: (c[0], _signs(c[0])[0]), carry)
    return out[1], out[0]


# ---- what tells calls apart -------------------------------------------------------------------------------------


def test_dicts_are_told_apart_by_their_keys_and_not_by_the_order_of_insertion():
    traces = []
    f = pb.jit(lambda t: traces.append(list(t)) or {k: v + i for i, (k, v) in enumerate(t.items())})
    x, y = jnp.ones(2), jnp.zeros(2)
    for t in ({"a": x, "b": y}, {"b": y, "a": x}):
        out = f(t)
        assert list(out) == ["a", "b"] and out["a"].tolist() == [1, 1] and out["b"].tolist() == [1, 1]
    assert traces == [["a", "b"]]
    assert f({"a": x, "c": y})["c"].tolist() == [1, 1] and f({1: x, 0: y})[0].tolist() == [0, 0]
    assert f({"a": x})["a"].tolist() == [1, 1] and f({"a": 2.0, "b": y})["a"] == 2
    assert len(traces) == 5


def test_keywords_are_told_apart_from_positions_dicts_and_other_keywords():
    x = jnp.ones(2)
    calls = [((x,), {}), ((), {"a": x}), (({"a": x},), {}), ((), {"b": x}), ((x,), {"a": x}), ((), {"b": x, "a": x}),
             (([x],), {}), (((x,),), {}), ((x,), {"a": [x]}), ((x,), {"a": 1.0})]  # fmt: skip
    g = pb.jit(lambda *args, **named: jnp.asarray(len(args) * 100 + sum(map(ord, named))))
    for _ in range(2):
        for args, named in calls:
            assert g(*args, **named) == len(args) * 100 + sum(map(ord, named))
    assert len(g._entries) == len(calls)
    name = type("Name", (str,), {})("a")
    assert g(**{name: x}) == 97


def test_static_arguments_by_keyword_and_position_are_one():
    traces = []
    f = pb.jit(lambda x, n, y=0.0: traces.append(n) or x * n + y, static_argnames="n")
    x = jnp.ones(2)
    for _ in range(2):
        assert f(x, n=3).tolist() == [3, 3] and f(x, n=3, y=x).tolist() == [4, 4] and f(x, 2, y=1.0).tolist() == [3, 3]
        assert f(np.ones(2, np.float32), n=3).tolist() == [3, 3]
    assert traces == [3, 3, 2]
    with pytest.raises(ValueError, match=r"Non-hashable static arguments are not supported: argument 'n'"):
        f(x, n=[1])
    with pytest.raises(TypeError, match=r"argument 'y' of jitted <lambda> .*: leaf at path \['a'\] of type 'object'"):
        f(x, n=3, y={"a": object()})


def test_what_is_lent_for_keyword_and_static_arguments_comes_back():
    f = pb.jit(lambda x, n, y: x * n + y, static_argnames="n")
    outs = [f(np.full(3, i, np.float32), n=2, y=np.full(3, i, np.float32)) for i in range(50)]
    assert [o.tolist() for o in outs] == [[3.0 * i] * 3 for i in range(50)]
