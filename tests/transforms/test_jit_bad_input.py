"""Misuse of compiled functions: what the error says, that nothing crashes, and that nothing is left half changed, in threads too."""

from __future__ import annotations

import contextlib
import math
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import errors
from pullback.core.trace import EVAL, current

HERE = r"test_jit_bad_input\.py:\d+"
LIST = [10, 20, 30]


def check(call, kind, parts):
    with pytest.raises(kind) as caught:
        call()
    for part in parts:
        assert re.search(part, str(caught.value)), f"{part!r} is not in the message: {caught.value}"
    assert current() is EVAL
    return caught.value


# ---- values that are not there --------------------------------------------------------------------------------------


def branch(x):
    if x > 0:
        return x
    return -x


def loop(x):
    while jnp.sum(x) < 3:
        x = x * 2
    return x


BOOL, INDEX = errors.TracerBoolConversionError, errors.TracerIntegerConversionError
VALUE, ARRAY = errors.ConcretizationTypeError, errors.TracerArrayConversionError
#: What is traced, its argument, the type of the error, and what the message tells: the value, the place, the remedy.
CONCRETIZATIONS = {
    "if": (branch, 1.0, BOOL, [r"bool\[\]", "the result of `gt` at .*" + HERE + r" \(branch\)", "where", "cond", "static_argnums"]),
    "while": (loop, jnp.ones(2), BOOL, ["the result of `lt`", r"\(loop\)", "cond"]),
    "and": (lambda x: x and 1, 1.0, BOOL, [r"float32\[\]", r"argument 0 \('x'\) of jitted <lambda>", "where"]),
    "not": (lambda flag: not flag, True, BOOL, [r"argument 0 \('flag'\)"]),
    "assert": (lambda x: [None for _ in [0] if x.all()], jnp.ones(3), BOOL, ["the result of `reduce_and`"]),
    "in": (lambda x: x in (1, 2), 2, BOOL, ["the result of `eq`"]),
    "sorted": (lambda x: sorted(x), jnp.ones(3), BOOL, ["the result of `lt`"]),
    "max": (lambda x: max(x, 0.0), 1.0, BOOL, ["the result of `(gt|lt)`"]),
    "a leaf": (lambda p: 1 if p["w"][0] else 2, {"w": (True,)}, BOOL, [r"argument 0 \('p'\), leaf \['w'\]\[0\] of jitted"]),
    "int": (lambda x: int(x), 1.0, VALUE, [r"float32\[\]", r"argument 0 \('x'\)", "astype", "static_argnums"]),
    "float": (lambda x: float(x + 1), 1.0, VALUE, ["the result of `add`", "astype"]),
    "complex": (lambda x: complex(x), 1.0, VALUE, ["astype"]),
    "item": (lambda x: x.item(), 1.0, VALUE, [r"argument 0 \('x'\)", "static_argnums"]),
    "tolist": (lambda x: x.tolist(), jnp.ones(3), VALUE, [r"float32\[3\]"]),
    "math": (lambda x: math.sin(x), 1.0, VALUE, ["pullback.numpy"]),
    "round": (lambda x: f"{x:.3f}" and round(x).__int__(), 1.0, VALUE, ["astype"]),
    "arange": (lambda n: jnp.arange(n), 3, VALUE, [r"int32\[\]", r"argument 0 \('n'\)", "static"]),
    "linspace": (lambda n: jnp.linspace(0, 1, n), 3, (VALUE, INDEX), [r"argument 0 \('n'\)", "static"]),
    "repeat": (lambda n: jnp.repeat(jnp.ones(2), n), 3, VALUE, ["total_repeat_length"]),
    "nonzero": (lambda x: jnp.nonzero(x), jnp.ones(3), VALUE, ["size"]),
    "unique": (lambda x: jnp.unique(x), jnp.ones(3), VALUE, ["size"]),
    "one-argument where": (lambda x: jnp.where(x > 0), jnp.ones(3), VALUE, ["size"]),
    "range": (lambda n: range(n), 3, INDEX, [r"argument 0 \('n'\)", "static"]),
    "list index": (lambda i: LIST[i + 1], 1, INDEX, ["the result of `add`", "index an Array"]),
    "hex": (lambda i: hex(i), 1, INDEX, [r"int32\[\]"]),
    "repetition": (lambda n: [0] * n, 1, (INDEX, TypeError), []),
    "axis": (lambda axis: jnp.sum(jnp.ones(3), axis=axis), 0, INDEX, [r"argument 0 \('axis'\)", "static"]),
    "split": (lambda n: jnp.split(jnp.ones(4), n), 2, INDEX, ["static"]),
    "shape": (lambda n: jnp.zeros(n), 3, TypeError, ["shape", "concrete integers", r"argument 0 \('n'\)", "static"]),
    "one length of a shape": (lambda n: jnp.ones((2, n)), 3, TypeError, ["shape", "concrete integers", "static"]),
    "reshape": (lambda n: jnp.ones(4).reshape(n, -1), 2, TypeError, ["shape", "concrete integers", "static"]),
    "broadcast_to": (lambda n: jnp.broadcast_to(1.0, (n,)), 2, TypeError, ["shape", "static"]),
    "tile": (lambda n: jnp.tile(jnp.ones(2), n), 2, TypeError, ["concrete integers", "static"]),
    "slice": (lambda n: jnp.ones(4)[:n], 2, IndexError, ["static integers", "dynamic_slice", HERE]),
    "mask": (lambda x: x[x > 1], jnp.ones(3), errors.NonConcreteBooleanIndexError, [r"bool\[3\]", "`gt`", "where", "size"]),
    "NumPy": (lambda x: np.asarray(x), 1.0, ARRAY, [r"argument 0 \('x'\)", "pullback.numpy"]),
    "asarray": (lambda x: np.asarray(x * 2), jnp.ones(3), ARRAY, ["the result of `mul`"]),
    "NumPy's index": (lambda i: np.arange(3)[i], 1, (ARRAY, INDEX), [r"argument 0 \('i'\)"]),
    "assignment": (lambda x: x.__setitem__(0, 1), jnp.ones(3), TypeError, [r"x\.at\[idx\]\.set"]),
    "iteration": (lambda x: list(x), 1.0, TypeError, ["0-d"]),
    "a dictionary": (lambda x: {x: 1}, 1, TypeError, ["unhashable"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CONCRETIZATIONS)
def test_a_concrete_value_is_asked_for(name):
    function, argument, kind, parts = CONCRETIZATIONS[name]
    error = check(lambda: pb.jit(function)(argument), kind, parts)
    if isinstance(error, errors.JAXTypeError):
        assert re.search(HERE, str(error))
    with pytest.raises(kind):  # and nothing was kept of it
        pb.jit(function)(argument)


def test_the_place_is_the_users_line():
    def function(x, y):
        z = x * y
        z = z + 1
        return z if z else x  # the line

    first = function.__code__.co_firstlineno
    error = check(lambda: pb.jit(function)(1.0, 2.0), BOOL, [])
    assert f"test_jit_bad_input.py:{first + 3} (function)" in str(error)  # where it was asked for
    assert f"`add` at {__file__}:{first + 2} (function)" in str(error)  # where it was traced


AROUND = {
    "grad": pb.grad,
    "hessian": pb.hessian,
    "vmap": lambda f: lambda x: pb.vmap(f)(jnp.stack([x, x])),
    "jvp": lambda f: lambda x: pb.jvp(f, (x,), (x,))[1],
    "linearize": lambda f: lambda x: pb.linearize(f, x)[1](x),
    "checkpoint": pb.checkpoint,
    "jit": lambda f: lambda x: pb.jit(f)(x) * 2,
    "grad of checkpoint": lambda f: pb.grad(pb.checkpoint(f)),
    "make_jaxpr": lambda f: lambda x: pb.make_jaxpr(f)(x) and x,
}


@pytest.mark.parametrize("around", AROUND)
def test_inside_other_transformations(around):
    def function(x):
        y = x * 2
        return y if y > 0 else x

    check(
        lambda: pb.jit(AROUND[around](function))(1.0),
        BOOL,
        [r"the result of `gt`" if around != "vmap" else "BatchTrace", HERE],
    )


def test_names_of_several_arguments():
    f = lambda n, a, *rest, flag=0, **more: {"flag": flag, "rest": rest, "b": more, "a": a}[n]
    for call, what in (
        (lambda g: g("a", True), r"argument 1 \('a'\)"),
        (lambda g: g("rest", 1, 2, True), "argument 3"),
        (lambda g: g("flag", 1, flag=True), "argument 'flag'"),
        (lambda g: g("b", 1, c=True), "argument 'c'"),
    ):

        def truth(*args, **kwargs):
            out = f(*args, **kwargs)
            while isinstance(out, (tuple, dict)):
                out = [*(out.values() if isinstance(out, dict) else out)][-1]
            return 1 if out else 0

        truth.__signature__ = __import__("inspect").signature(f)
        check(lambda: call(pb.jit(truth, static_argnums=0)), BOOL, [what])


# ---- arguments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [[1], {}, set(), np.ones(3), jnp.ones(3), (1, [2]), slice(None, [1]), bytearray(b"x")]
)
def test_static_arguments_that_have_no_hash(value):
    by_position = pb.jit(lambda x, n: x, static_argnums=1)
    by_name = pb.jit(lambda x, *, mode: x, static_argnames="mode")
    check(
        lambda: by_position(1.0, value),
        ValueError,
        ["Non-hashable static arguments", "argument 1", type(value).__name__],
    )
    check(lambda: by_position(1.0, n=value), ValueError, ["Non-hashable", "argument 'n'"])
    check(lambda: by_name(1.0, mode=value), ValueError, ["Non-hashable", "argument 'mode'"])
    check(lambda: by_position.lower(1.0, value), ValueError, ["Non-hashable"])
    assert by_position(1.0, 2) == 1.0 and by_name(2.0, mode="a") == 2.0


def test_static_arguments_whose_equality_fails():
    fails = False

    class Odd:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            if fails:
                raise RuntimeError("no equality")
            return True

    f = pb.jit(lambda x, n: x + 1, static_argnums=1)
    assert f(1.0, Odd()) == 2.0
    fails = True
    with pytest.raises(RuntimeError, match="no equality"):
        f(1.0, Odd())
    fails = False
    assert f(1.0, Odd()) == 2.0


@pytest.mark.parametrize(
    ("value", "parts"),
    [("text", ["argument 0", "str", "static"]), (object(), ["argument 0", "object"]), (np.array(["a"]), ["ndarray", "<U1"]),
     (np.array([object()]), ["object"]), ({"a": [1.0, "b"]}, [r"\['a'\]\[1\]", "str"]), (b"x", ["bytes"]), (range(3), ["range"]),
     (np.datetime64("2020-01-01"), ["datetime64"]), (lambda x: x, ["function", "static"])],
)  # fmt: skip
def test_arguments_that_are_no_arrays(value, parts):
    f = pb.jit(lambda x, y=0: y)
    check(lambda: f(value), TypeError, parts)
    check(lambda: f(1.0, y=value), TypeError, ["argument 'y'", *parts[1:]])
    assert f(1.0, 2.0) == 2.0


def test_python_integers_that_do_not_fit():
    for f in (pb.jit(lambda x: x), pb.jit(lambda x: x + 2**40)):
        check(lambda: f(2**40), OverflowError, [str(2**40), "int32", "enable_x64"])
    assert pb.jit(lambda x: x)(2) == 2


def test_calls_that_do_not_fit_the_signature():
    f = pb.jit(lambda x, *, y=1.0: x * y)
    for call in (lambda: f(), lambda: f(1.0, 2.0), lambda: f(1.0, z=1.0), lambda: f(x=1.0, w=2.0)):
        check(call, TypeError, ["argument"])
    assert f(x=2.0, y=3.0) == 6.0


@pytest.mark.parametrize(
    "result", ["text", object(), {"a": [object()]}, (i for i in range(2)), {1, 2}, np.array(["a"])]
)
def test_results_that_are_no_arrays(result):
    check(
        lambda: pb.jit(lambda x: result)(1.0),
        TypeError,
        ["output of jitted <lambda>", type(pb.tree.leaves(result)[0]).__name__],
    )


def test_what_jit_itself_refuses():
    f = lambda x, y: x
    for call, kind, parts in (
        (lambda: pb.jit(f, static_argnums=0, donate_argnums=0), ValueError, ["donate_argnums"]),
        (lambda: pb.jit(f, static_argnums="y"), TypeError, ["static_argnums", "'y'"]),
        (lambda: pb.jit(f, donate_argnums=1.5), TypeError, ["donate_argnums", "1.5"]),
        (lambda: pb.jit(f, static_argnames=3), TypeError, ["static_argnames", "3"]),
        (lambda: pb.jit(f, donate_argnames=("x", 1)), TypeError, ["donate_argnames", "('x', 1)"]),
        (lambda: pb.jit(f, donate_argnums=5), ValueError, ["donate_argnums", "2 positional"]),
        (lambda: pb.jit(f, donate_argnames="z"), ValueError, ["donate_argnames", "z"]),
        (lambda: pb.jit(f, compiler_options={"xla_no_such_option": 1})(1.0, 2.0), errors.JaxRuntimeError, ["xla_no_such_option"]),
        (lambda: pb.jit(f, compiler_options={"xla_cpu_enable_fast_math": "maybe"})(1.0, 2.0), errors.JaxRuntimeError, ["maybe"]),
        (lambda: pb.jit(f, compiler_options={"xla_cpu_enable_fast_math": [1]}), TypeError, ["xla_cpu_enable_fast_math", "[1]"]),
        (lambda: pb.jit(f, compiler_options={3: True}), TypeError, ["3: True"]),
        (lambda: pb.jit(f, compiler_options="O1"), TypeError, ["'O1'"]),
        (lambda: pb.jit(f).lower(1.0, 2.0).compile("O1"), TypeError, ["'O1'"]),
        (lambda: pb.jit(None)(1.0), TypeError, []),
    ):  # fmt: skip
        check(call, kind, parts)


# ---- artifacts ------------------------------------------------------------------------------------------------------

STRUCT = pb.ShapeDtypeStruct((3,), "float32")


@pytest.mark.parametrize(
    ("args", "kwargs", "parts"),
    [((), {}, ["structure", "scale"]), ((jnp.ones(3),), {}, ["structure"]), (([1.0, 2.0, 3.0],), {"s": 1.0}, ["structure"]),
     ((jnp.ones(3), 1.0), {"s": 1.0}, ["structure"]), ((None,), {"s": 1.0}, ["structure"]),
     ((1.0,), {"s": 1.0}, [r"args\[0\]: compiled for float32\[3\], called with float32\[\]"]),
     ((jnp.ones((3, 1)),), {"s": 1.0}, [r"called with float32\[3,1\]"]), ((jnp.ones(3, bool),), {"s": 1.0}, [r"bool\[3\]"]),
     ((jnp.ones(3, "bfloat16"),), {"s": 1.0}, [r"bfloat16\[3\]"]), ((np.ones(3, np.int32),), {"s": 1.0}, [r"int32\[3\]"]),
     ((jnp.ones(3),), {"s": 1}, [r"kwargs\['s'\]: compiled for float32\[\], called with int32\[\]"]),
     (("text",), {"s": 1.0}, [r"args\[0\]: compiled for float32\[3\], called with 'text' of type 'str'"]),
     ((jnp.ones(3),), {"s": "text"}, [r"kwargs\['s'\]: compiled for float32\[\], called with 'text'"])],
)  # fmt: skip
def test_compiled_programs_check_their_arguments(args, kwargs, parts):
    def scale(x, *, s):
        return x * s

    compiled = pb.jit(scale).lower(STRUCT, s=1.0).compile()
    check(lambda: compiled(*args, **kwargs), TypeError, parts)
    assert np.all(np.asarray(compiled(np.full(3, 2, np.float32), s=3.0)) == 6)


def test_compiled_programs_are_not_traced():
    compiled = pb.jit(lambda x: jnp.sum(x)).lower(STRUCT).compile()
    for around in (pb.grad, pb.vmap, pb.jit, pb.checkpoint):
        argument = jnp.ones((2, 3)) if around is pb.vmap else jnp.ones(3)
        check(lambda: around(compiled)(argument), TypeError, ["cannot be transformed", "Apply the transformation"])
    assert compiled(jnp.ones(3)) == 3.0


def test_donated_arrays_in_artifacts_and_trees():
    compiled = pb.jit(lambda p, x: {"w": p["w"] + x}, donate_argnums=0).lower({"w": STRUCT}, 1.0).compile()
    p = {"w": jnp.ones(3)}
    q = compiled(p, 2.0)
    for use in (
        lambda: compiled(p, 2.0),
        lambda: p["w"] * 2,
        lambda: repr(p),
        lambda: pb.jit(lambda t: t)(p),
        lambda: float(p["w"][0]),
    ):
        check(use, RuntimeError, [r"deleted.*float32\[3\].*donated", HERE])
    assert np.all(np.asarray(compiled(q, 2.0)["w"]) == 5)


def test_deleted_arrays():
    x = jnp.ones(3)
    x.delete()
    for use in (
        lambda: pb.jit(jnp.sin)(x),
        lambda: pb.grad(lambda y: jnp.sum(pb.jit(jnp.multiply)(x, y)))(1.0),
        lambda: jnp.sin(x),
    ):
        check(use, RuntimeError, ["deleted", HERE])
    captured = jnp.ones(1000)
    f = pb.jit(lambda y: y + captured)
    captured.delete()
    check(lambda: f(1.0), RuntimeError, ["deleted"])


# ---- XLA ------------------------------------------------------------------------------------------------------------


def test_what_xla_refuses_is_named(impossible):
    def inner(x):
        y = jnp.sin(x)
        return current().process(impossible, (y,), {}) * 2

    line = inner.__code__.co_firstlineno + 2
    expected = [
        r"XLA could not compile jit\((inner|outer)\)",
        "operation impossible",
        rf"test_jit_bad_input\.py:{line}",
    ]
    f = pb.jit(inner)
    for _ in range(2):
        check(lambda: f(1.0), errors.JaxRuntimeError, expected)
    check(
        lambda: pb.jit(pb.vmap(lambda x: x))(jnp.ones(3)) + pb.jit(lambda x: f(x) + 1, inline=False)(1.0),
        errors.JaxRuntimeError,
        expected[1:],
    )
    check(lambda: f.lower(1.0).compile(), errors.JaxRuntimeError, expected)
    assert pb.jit(lambda x: x + 1)(1.0) == 2.0


ROWS = 1 << 24


@pytest.mark.parametrize(
    "program",
    [lambda x: jnp.zeros((ROWS, 1 << 20)), lambda x: jnp.zeros((ROWS, 1 << 20)) + x, lambda x: jnp.zeros((ROWS, 1 << 20), bool)[0, :3] ^ (x > 0),
     lambda x: (x, jnp.full((ROWS, 1 << 20), x)), lambda x: {"a": jnp.arange(1 << 20) * jnp.ones((ROWS, 1))}],
)  # fmt: skip
def test_memory_that_is_not_there(program):
    f = pb.jit(program)
    for _ in range(2):
        with contextlib.suppress(errors.JaxRuntimeError, MemoryError):
            out = pb.block_until_ready(f(1.0))
            # The compiler found out that none is needed.
            assert sum(x.nbytes for x in pb.tree.leaves(out)) < 1 << 20
    assert pb.jit(lambda x: x + 1)(1.0) == 2.0


def test_results_that_could_not_be_computed():
    """XLA may find out when the call has returned: whoever needs the result gets the error."""
    f = pb.jit(lambda x: jnp.arange(1 << 20) * jnp.ones((ROWS, 1)) + x)
    for use in (
        pb.block_until_ready, lambda x: x.block_until_ready(), np.asarray, repr, str, lambda x: x[0, 0], lambda x: x + 1, pb.device_get,
        lambda x: pb.block_until_ready(pb.jit(lambda x: x[0, 0])(x)), lambda x: float(pb.jit(lambda x: x[0, 0], donate_argnums=0)(x)),
    ):  # fmt: skip
        with pytest.raises(
            (errors.JaxRuntimeError, MemoryError), match=r"RESOURCE_EXHAUSTED|[Oo]ut of memory|allocate"
        ):
            use(f(1.0))
    assert pb.jit(lambda x: x + 1)(1.0) == 2.0


def test_memory_that_is_not_there_for_eager_operations_and_derivatives():
    large = lambda x: jnp.full((ROWS, 1 << 20), x) * x
    for call in (
        lambda: jnp.zeros((ROWS, 1 << 20)),
        lambda: jnp.outer(jnp.ones(ROWS), jnp.ones(1 << 20)),
        lambda: pb.jit(pb.jacfwd(large))(1.0),
        lambda: pb.jvp(pb.jit(large), (1.0,), (1.0,)),
        lambda: pb.vmap(pb.jit(large))(jnp.ones(2)),
        lambda: pb.jit(large).lower(1.0).compile()(1.0),
    ):
        with pytest.raises(
            (errors.JaxRuntimeError, MemoryError), match=r"RESOURCE_EXHAUSTED|[Oo]ut of memory|allocate"
        ):
            pb.block_until_ready(call())
        assert current() is EVAL
    assert pb.grad(pb.jit(lambda x: x**2))(3.0) == 6.0


def test_sizes_that_no_machine_has():
    for n in (1 << 62, 1 << 63, 10**30):
        with pytest.raises((ValueError, TypeError, OverflowError, MemoryError, errors.JaxRuntimeError)):
            pb.block_until_ready(pb.jit(lambda x: jnp.zeros((n, 4)) + x)(1.0))
    assert pb.jit(lambda x: x + 1)(1.0) == 2.0


# ---- errors of the function itself ----------------------------------------------------------------------------------


class Stop(BaseException):
    """Like KeyboardInterrupt: not an Exception."""


@pytest.mark.parametrize("kind", [KeyError, Stop, RecursionError, MemoryError, StopIteration])
@pytest.mark.parametrize(
    "around",
    [lambda f: f, pb.grad, lambda f: pb.jit(pb.grad(f)), lambda f: pb.grad(pb.jit(f)), lambda f: lambda x: pb.vmap(pb.jit(f))(jnp.stack([x, x]))[0],
     lambda f: lambda x: pb.jvp(pb.jit(f), (x,), (x,))[0], lambda f: pb.jit(lambda x: pb.jit(f)(x) * 1), lambda f: pb.grad(pb.checkpoint(pb.jit(f)))],
)  # fmt: skip
def test_an_exception_leaves_nothing_behind(around, kind):
    failing = True

    def f(x):
        y = jnp.sin(x)
        if failing:
            raise kind("while tracing")
        return y * x

    g = pb.jit(f)
    for _ in range(2):
        with pytest.raises(kind, match="while tracing"):
            around(g)(2.0)
        assert current() is EVAL
    failing = False
    expected = around(lambda x: jnp.sin(x) * x)(2.0)
    assert np.allclose(around(g)(2.0), expected)
    failing = True  # it is not traced again
    assert np.allclose(around(g)(2.0), expected)


def test_exceptions_in_rules_and_callbacks():
    broken = True

    @pb.custom_vjp
    def f(x):
        return x * 2

    def backward(_, ct):
        if broken:
            raise ArithmeticError("in the rule")
        return (ct * 7,)

    f.defvjp(lambda x: (x * 2, None), backward)
    g = pb.jit(pb.grad(f))
    with pytest.raises(ArithmeticError, match="in the rule"):
        g(1.0)

    def host(x):
        if broken:
            raise LookupError("on the host")
        return np.asarray(x) + 1

    h = pb.jit(lambda x: pb.pure_callback(host, pb.ShapeDtypeStruct((), "float32"), x) * 2)
    with pytest.raises(errors.JaxRuntimeError) as caught:
        pb.block_until_ready(h(1.0))
    assert isinstance(caught.value.__cause__, LookupError)
    broken = False
    assert g(1.0) == 7.0 and h(1.0) == 4.0


def test_recursion_without_end():
    f = pb.jit(lambda x: f(x) + 1)
    with pytest.raises(RecursionError):
        f(1.0)
    assert current() is EVAL and pb.jit(lambda x: x + 1)(1.0) == 2.0


# ---- threads --------------------------------------------------------------------------------------------------------

THREADS = 8


def together(work):
    """`work(number)` in threads that start at the same time; the results."""
    start = threading.Barrier(THREADS)

    def run(number):
        start.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def test_one_function_in_threads():
    traces = []

    @pb.jit
    def f(x, t):
        traces.append(x.shape)
        return {"y": jnp.sin(x) * t["a"], "n": t["b"][0] + 1}

    def work(number):
        found = []
        for i in range(30):
            n = 1 + (i + number) % 5
            x = np.full(n, number + i, np.float32)
            out = f(x, {"a": jnp.float32(number), "b": [i]})
            found.append(np.allclose(out["y"], np.sin(x) * number) and out["n"] == i + 1 and out["y"].shape == (n,))
        return all(found)

    assert all(together(work))
    assert len(traces) <= 5 * THREADS
    count = len(traces)
    assert work(3) and len(traces) == count


def test_different_functions_and_transformations_in_threads():
    def work(number):
        f = pb.jit(lambda x: jnp.sum(jnp.sin(x) ** 2) * (number + 1))
        x = jnp.arange(3.0) + number
        gradient = (number + 1) * np.sin(2 * np.asarray(x))
        found = []
        for _ in range(3):
            found += [
                pb.grad(f)(x),
                pb.jit(pb.grad(f))(x),
                pb.vmap(pb.grad(f))(jnp.stack([x, x]))[1],
                pb.vjp(f, x)[1](1.0)[0],
            ]
        assert current() is EVAL
        return all(np.allclose(g, gradient, atol=1e-5) for g in found)

    assert all(together(work))


def test_derivatives_of_one_function_in_threads():
    f = pb.jit(lambda x, y: jnp.sum(jnp.tanh(x) * y))
    expected = 1 - np.tanh(np.arange(3.0)) ** 2

    def work(number):
        x, y = jnp.arange(3.0), jnp.ones(3) * (number + 1)
        return all(np.allclose(pb.grad(f)(x, y), expected * (number + 1), atol=1e-5) for _ in range(10))

    assert all(together(work))


def test_options_of_threads_are_their_own():
    f = pb.jit(lambda: jnp.arange(3))

    def work(number):
        with pb.enable_x64(bool(number % 2)):
            return all(f().dtype == (np.int64 if number % 2 else np.int32) for _ in range(20))

    assert all(together(work))


def test_errors_in_threads_stay_there():
    @pb.jit
    def f(x, fails):
        if x.shape[0] % 2:
            raise KeyError(x.shape[0])
        return x * 2

    def work(number):
        n = number + 1
        for _ in range(10):
            if n % 2:
                with pytest.raises(KeyError, match=str(n)):
                    f(jnp.ones(n), 0)
                with pytest.raises(errors.TracerBoolConversionError):
                    pb.jit(branch)(1.0)
                assert current() is EVAL
            else:
                assert np.all(np.asarray(f(jnp.ones(n), 0)) == 2)
        return True

    assert all(together(work))


def test_caches_are_cleared_while_threads_work():
    f = pb.jit(lambda x: x * 2 + 1)

    def work(number):
        for i in range(10):
            if number == 0:
                pb.clear_caches()
            elif f(np.full(3, i, np.float32))[0] != 2 * i + 1 or pb.grad(f)(float(i)) != 2:
                return False
        return True

    assert all(together(work))


def test_donation_in_threads():
    step = pb.jit(lambda x: x + 1, donate_argnums=0)

    def work(number):
        x = jnp.full(1000, float(number))
        for _ in range(50):
            x = step(x)
        return np.all(np.asarray(x) == number + 50)

    assert all(together(work))
    shared = jnp.zeros(1000)

    def give(_):
        try:
            return step(shared)
        except (RuntimeError, errors.JaxRuntimeError):
            return None

    given = [x for x in together(give) if x is not None]
    assert len(given) >= 1 and all(np.all(np.asarray(x) == 1) for x in given)
