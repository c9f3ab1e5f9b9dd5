"""Bad input: the error's type, and a message that names the leaf, the types and the reason."""

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax

F32 = np.float32


def step(carry, x):
    return carry, x


def jitted_bound(body, init, **options):
    return pb.jit(lambda n: lax.fori_loop(0, n, body, init, **options))(3)


CARRIES = {
    "shape": (
        lambda: lax.scan(lambda c, _: ({"a": [c["a"][0][None]]}, None), {"a": [jnp.zeros(2)]}, length=2),
        r"scan: .* carry\['a'\]\[0\] has type float32\[2\] and becomes float32\[1,2\]",
    ),
    "dtype": (
        lambda: lax.scan(lambda c, _: ((c[0], c[1].astype(jnp.float16)), None), (1, jnp.ones(3)), length=2),
        r"scan: .* carry\[1\] has type float32\[3\] and becomes float16\[3\]",
    ),
    "weak type": (
        lambda: lax.scan(lambda c, x: (jnp.int32(1), None), 1.0, length=2),
        r"carry has type float32\[\] and becomes int32\[\] \(the initial value is a Python number, of weak type",
    ),
    "structure": (
        lambda: lax.scan(lambda c, x: ((c, c), x), 0.0, length=2),
        r"structure of the carry .*takes PyTreeSpec\(\*\) and returns PyTreeSpec\(\(\*, \*\)\)",
    ),
    "None": (lambda: lax.scan(lambda c, x: (None, x), 0.0, length=2), "takes .* and returns PyTreeSpec\\(None"),
    "while": (
        lambda: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0], c[1][:1]), (0, jnp.ones(3))),
        r"while_loop: .* carry\[1\] has type float32\[3\] and becomes float32\[1\]",
    ),
    "while structure": (lambda: lax.while_loop(lambda c: c < 3, lambda c: [c], 0), "while_loop: .* returns PyTreeSpec"),
    "fori": (
        lambda: lax.fori_loop(0, 3, lambda i, c: {"a": c["a"] > 0}, {"a": jnp.ones(3)}),
        r"fori_loop: .* carry\['a'\] has type float32\[3\] and becomes bool\[3\]",
    ),
    "fori with a traced bound": (
        lambda: jitted_bound(lambda i, c: {"a": c["a"] > 0}, {"a": jnp.ones(3)}),
        r"fori_loop: .* carry\['a'\] has type float32\[3\] and becomes bool\[3\]",
    ),
    "fori structure": (
        lambda: lax.fori_loop(0, 3, lambda i, c: (c, c), 1.0),
        "fori_loop: .* takes PyTreeSpec\\(\\*\\) ",
    ),
    "key": (lambda: lax.scan(lambda c, _: (pb.random.key(0), None), 1.0, length=2), "key<fry>"),
}


@pytest.mark.parametrize("case", CARRIES)
def test_carries(case):
    call, message = CARRIES[case]
    with pytest.raises(TypeError, match=f"(?s){message}") as caught:
        call()
    assert "key" in case or f"{__file__.rpartition('/')[2]}:" in str(caught.value), "the user's line"


BRANCHES = {
    "structure": (lambda: lax.cond(True, lambda: 1, lambda: (2,)), r"cond: branches must return the same structure"),
    "shape": (
        lambda: lax.cond(True, lambda: {"a": jnp.zeros(2)}, lambda: {"a": jnp.zeros(3)}),
        r"cond: .*result\['a'\]: float32\[3\] and, of <lambda>, float32\[2\]",
    ),
    "dtype": (
        lambda: lax.switch(0, [lambda: (1, jnp.int32(1)), lambda: (1, F32(2))]),
        r"switch: .*result\[1\]: int32\[\] and, of <lambda>, float32\[\]",
    ),
    "numbers of two kinds": (
        lambda: lax.cond(True, lambda: 1, lambda: 2.0),
        r"result: float32\[\] and, of <lambda>, int32\[\]",
    ),
    "a number and another dtype": (lambda: lax.cond(True, lambda: 1.0, lambda: jnp.float16(2)), r"float16\[\]"),
    "boolean and number": (lambda: lax.cond(True, lambda: True, lambda: 1), r"bool\[\]"),
    "third": (lambda: lax.switch(0, [lambda: 1, lambda: 2, lambda: (3, 4)]), "PyTreeSpec"),
    "a key": (lambda: lax.cond(True, lambda: pb.random.key(0), lambda: 1.0), "key<fry>"),
}


@pytest.mark.parametrize("case", BRANCHES)
def test_branches(case):
    call, message = BRANCHES[case]
    with pytest.raises(TypeError, match=f"(?s){message}"):
        call()


ARGUMENTS = {
    "predicate: array": (lambda: lax.cond(jnp.array([True]), step, step, 1, 2), TypeError, r"scalar.*bool\[1\]"),
    "predicate: None": (lambda: lax.cond(None, step, step, 1, 2), TypeError, "None"),
    "predicate: complex": (lambda: lax.cond(1j, step, step, 1, 2), TypeError, "complex64"),
    "predicate: text": (lambda: lax.cond("a", step, step, 1, 2), TypeError, "'a'"),
    "predicate: key": (lambda: lax.cond(pb.random.key(0), step, step, 1, 2), TypeError, "boolean or number"),
    "condition: number": (lambda: lax.while_loop(lambda c: c, lambda c: c, 1), TypeError, r"boolean scalar.*int32\[\]"),
    "condition: array": (
        lambda: lax.while_loop(lambda c: c < 1, lambda c: c, jnp.ones(3)), TypeError, r"boolean scalar.*bool\[3\]"
    ),
    "condition: pair": (lambda: lax.while_loop(lambda c: (c < 1, c), lambda c: c, 1), TypeError, "boolean scalar"),
    "condition: None": (lambda: lax.while_loop(lambda c: None, lambda c: c, 1), TypeError, "boolean scalar"),
    "index: float": (lambda: lax.switch(1.0, [step, step], 1, 2), TypeError, r"integer scalar.*float32\[\]"),
    "index: array": (lambda: lax.switch(jnp.arange(2), [step, step], 1, 2), TypeError, r"integer scalar.*int32\[2\]"),
    "index: boolean": (lambda: lax.switch(True, [step, step], 1, 2), TypeError, r"integer scalar.*bool\[\]"),
    "no branches": (lambda: lax.switch(0, []), ValueError, "at least one branch"),
    "branches that are none": (lambda: lax.switch(0, [1, 2]), TypeError, "functions"),
    "cond of no functions": (lambda: lax.cond(True, 1, 2), TypeError, "callable"),
    "unknown keyword": (lambda: lax.cond(True, step, step, 1, 2, oprand=3), TypeError, "oprand"),
    "two ways of giving operands": (lambda: lax.cond(True, step, step, 1, operand=3), TypeError, "operand"),
    "body that gives no pair": (lambda: lax.scan(lambda c, x: c, 0, length=2), TypeError, "pair"),
    "body that gives three": (lambda: lax.scan(lambda c, x: (c, x, x), 0, length=2), TypeError, "pair"),
    "output that is no array": (lambda: lax.scan(lambda c, x: (c, {"a": "b"}), 0, length=2), TypeError, r"\[1\]\['a'\]"),
    "carry that is no array": (lambda: lax.scan(step, {"a": "b"}, length=2), TypeError, r"initial carry.*\['a'\]"),
    "inputs that are no arrays": (lambda: lax.scan(step, 0, {"a": "b"}), TypeError, r"\['a'\]"),
    "state that is no array": (lambda: lax.while_loop(step, step, ("a",)), TypeError, r"\[0\]"),
    "operand that is no array": (lambda: lax.cond(True, step, step, 1, "a"), TypeError, r"\[1\]"),
    "scan of no function": (lambda: lax.scan(3, 0, length=2), TypeError, "function"),
    "while of no function": (lambda: lax.while_loop(3, step, 0), TypeError, "cond_fun"),
    "fori of no function": (lambda: lax.fori_loop(0, 3, 3, 0), TypeError, "function"),
    "no length": (lambda: lax.scan(step, 0), ValueError, "length"),
    "negative length": (lambda: lax.scan(step, 0, length=-1), ValueError, "negative.*-1"),
    "length: float": (lambda: lax.scan(step, 0, length=1.5), TypeError, "integer"),
    "length: traced": (lambda: pb.jit(lambda n: lax.scan(step, 0, length=n))(3), TypeError, "length|integer"),
    "lengths that differ": (
        lambda: lax.scan(step, 0, {"a": jnp.ones(3), "b": jnp.ones((4, 2))}), ValueError, r"xs\['a'\]: 3, xs\['b'\]: 4"
    ),
    "length that differs": (lambda: lax.scan(step, 0, jnp.ones(3), length=4), ValueError, "xs: 3, length: 4"),
    "inputs without an axis": (lambda: lax.scan(step, 0, (jnp.ones(3), 1.0)), ValueError, r"xs\[1\] is a scalar"),
    "unroll": (lambda: lax.scan(step, 0, length=2, unroll=-1), ValueError, "unroll.*-1"),
    "unroll: float": (lambda: lax.scan(step, 0, length=2, unroll=1.5), TypeError, "unroll must be an integer"),
    "unroll of an unknown number": (lambda: jitted_bound(lambda i, c: c, 0, unroll=2), ValueError, "unroll"),
    "slots: zero": (lambda: lax.scan(step, 0, length=2, checkpoints=0), ValueError, "positive.*0"),
    "slots: negative": (lambda: lax.while_loop(lambda c: c < 1, lambda c: c, 1, checkpoints=-2), ValueError, "positive"),
    "slots: float": (lambda: lax.scan(step, 0, length=2, checkpoints=1.5), ValueError, "1.5"),
    "slots: name": (lambda: lax.scan(step, 0, length=2, checkpoints="some"), ValueError, "'binomial'.*'some'"),
    "slots: True": (lambda: lax.scan(step, 0, length=2, checkpoints=True), ValueError, "True"),
    "slots: list": (lambda: lax.scan(step, 0, length=2, checkpoints=[2]), ValueError, "positive"),
    "slots of an unknown number": (lambda: lax.while_loop(lambda c: c < 1, lambda c: c, 1, checkpoints="sqrt"), ValueError, "sqrt"),
    "slots of an unknown bound": (lambda: jitted_bound(lambda i, c: c, 0, checkpoints="sqrt"), ValueError, "bounds"),
    "bounds: float": (lambda: lax.fori_loop(0, 2.5, lambda i, c: c, 0), TypeError, r"equal types.*int32\[\].*float32\[\]"),
    "bounds: array": (lambda: lax.fori_loop(jnp.arange(2), 3, lambda i, c: c, 0), TypeError, r"lower.*int32\[2\]"),
    "batch size": (lambda: lax.map(jnp.sin, jnp.ones(3), batch_size=0), ValueError, "batch_size"),
    "map of a scalar": (lambda: lax.map(jnp.sin, 1.0), ValueError, "scalar"),
}  # fmt: skip


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments(case):
    call, error, message = ARGUMENTS[case]
    with pytest.raises(error, match=f"(?s){message}"):
        call()


def test_true_slots_are_refused_after_one_slot_was_taken():
    assert lax.scan(step, 0, length=2, checkpoints=1)[0] == 0
    with pytest.raises(ValueError, match="True"):
        lax.scan(step, 0, length=2, checkpoints=True)


@pytest.mark.parametrize(
    "use",
    [
        lambda leaked: lax.scan(lambda c, _: (c + leaked, None), 0.0, length=2),
        lambda leaked: lax.scan(lambda c, x: (c + x, None), 0.0, leaked * jnp.ones(3)),
        lambda leaked: lax.while_loop(lambda c: c < leaked, lambda c: c + 1, 0.0),
        lambda leaked: lax.while_loop(lambda c: c < 2, lambda c: c + leaked, 0.0),
        lambda leaked: lax.fori_loop(0, 3, lambda i, c: c + leaked, 0.0),
        lambda leaked: lax.cond(True, lambda c: c + leaked, lambda c: c, 0.0),
        lambda leaked: lax.switch(0, [lambda c: c, lambda c: c * leaked], 0.0),
        lambda leaked: lax.map(lambda x: x * leaked, jnp.arange(3.0)),
        lambda leaked: pb.jit(lambda x: lax.cond(x > 0, lambda c: c + leaked, lambda c: c, 0.0))(1.0),
    ],
)
@pytest.mark.parametrize("source", ["jit", "grad", "vmap", "scan"])
def test_leaked_tracers(use, source):
    kept = []

    def leak(x, *_):
        kept.append(x)
        return x

    if source == "scan":
        lax.scan(lambda c, _: (leak(c), None), 1.0, length=2)
    elif source == "vmap":
        pb.vmap(leak)(jnp.ones(3))
    else:
        getattr(pb, source)(leak)(1.0)
    with pytest.raises(pb.errors.UnexpectedTracerError, match="leaked"):
        use(kept[0])


def test_python_control_flow_in_a_body():
    with pytest.raises(pb.errors.TracerBoolConversionError):
        lax.scan(lambda c, _: (c if c > 0 else -c, None), 1.0, length=2)


# ---- what is allowed --------------------------------------------------------------------------------------------


def test_weak_types_give_way():
    last, _ = lax.scan(lambda c, _: (c * 1.5, None), 1, length=2)
    assert last == 2.25 and last.dtype == jnp.float32 and not last.weak_type
    assert lax.while_loop(lambda c: c < 10, lambda c: c + 1.5, 0) == 10.5
    assert lax.scan(lambda c, _: (c * np.float16(2), None), 1.0, length=2)[0].dtype == jnp.float16
    for i, expected in enumerate([1.0, 2.5]):  # the type does not depend on the branch
        out = lax.switch(i, [lambda: 1.0, lambda: F32(2.5)])
        assert out == expected and out.dtype == jnp.float32 and not out.weak_type
    total = lax.fori_loop(0, 5, lambda i, t: t + i, 0)
    assert total == 10 and total.weak_type


def test_empty_loops():
    carry, ys = lax.scan(lambda c, x: (c + 1, (x * 2, c)), 0, jnp.zeros((0, 3)))
    assert carry == 0 and ys[0].shape == (0, 3) and ys[1].shape == (0,)
    assert lax.fori_loop(5, 0, lambda i, c: c + 1, 7) == 7
    assert lax.map(lambda x: x * 2, jnp.zeros((0, 2))).shape == (0, 2)
    assert lax.map(lambda x: x * 2, jnp.zeros((0, 2)), batch_size=3).shape == (0, 2)
    for options in ({}, {"checkpoints": 2}, {"checkpoints": "binomial"}):
        g = pb.grad(lambda x, o=options: lax.scan(lambda c, _: (c * x, None), x, length=0, **o)[0])
        assert g(3.0) == 1.0 and pb.jit(g)(3.0) == 1.0
    assert pb.grad(lambda x: lax.while_loop(lambda c: c < 0, lambda c: c * x, x))(3.0) == 1.0


@pytest.mark.parametrize("differentiate", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
def test_nan_in_a_state_ends_a_loop(differentiate, compiled):
    """Comparisons with NaN are false: a solver that has lost its way stops."""

    def solve(a):
        def goes_on(state):
            x, before = state
            return jnp.abs(x - before) > 1e-6

        def newton(state):
            x, _ = state
            return x - (x * x - a) / (2 * x) * jnp.sqrt(a), x

        return lax.while_loop(goes_on, newton, (1.0, 2.0))[0]

    f = pb.grad(solve) if differentiate else solve
    assert np.isnan((pb.jit(f) if compiled else f)(-1.0))
    over = pb.vmap(solve)(jnp.array([-1.0, 1.0, 1.21]))  # one of them does not hold up the others
    assert np.isnan(over[0]) and np.allclose(over[1:], [1.0, 1.1], atol=1e-3)


def test_indices_and_predicates_that_are_numbers():
    branches = [lambda: 0, lambda: 1, lambda: 2]
    for index, expected in ((-5, 0), (1, 1), (99, 2), (np.uint8(200), 2), (jnp.int8(-3), 0), (np.uint32(2**32 - 1), 2)):
        assert lax.switch(index, branches) == expected == pb.jit(lambda i: lax.switch(i, branches))(index)
    for pred, expected in ((3, 1), (0, 2), (0.5, 1), (jnp.nan, 1), (np.bool_(False), 2)):
        assert lax.cond(pred, lambda: 1, lambda: 2) == expected


@pytest.mark.parametrize("wrap", [lambda f: f, pb.jit])
def test_both_forms_of_cond(wrap):
    double, negative = lambda x: 2 * x, lambda x: -x
    of_its_own = wrap(lambda p, a, b: lax.cond(p, a, double, b, negative))
    assert [float(of_its_own(p, 1.0, 3.0)) for p in (True, False)] == [2, -3]
    pair = wrap(lambda p: lax.cond(p, (1.0, 2.0), lambda t: t[0] + t[1], 3.0, lambda b: b))
    assert [float(pair(p)) for p in (True, False)] == [3, 3]
    assert [float(wrap(lambda p: lax.cond(p, None, lambda _: 1.0, None, lambda _: 2.0))(p)) for p in (True, False)] == [
        1,
        2,
    ]
    swapped = wrap(lambda p, a, b: lax.cond(p, b, double, a, negative))
    assert [float(swapped(p, 1.0, 3.0)) for p in (True, False)] == [6, -1]
    functions = pb.tree_util.Partial(double), pb.tree_util.Partial(negative)
    assert float(lax.cond(True, functions[0], negative, 1.0)) == 2
    x = jnp.array([1.0, -1.0])
    assert pb.grad(lambda x: pb.vmap(lambda v: lax.cond(v > 0, v, double, 3 * v, negative))(x).sum())(x).tolist() == [
        2,
        -3,
    ]
    with pytest.raises(TypeError, match="callable"):
        lax.cond(True, 1.0, double, 3.0, 4.0)


@pytest.mark.parametrize("wrap", [lambda f: f, pb.jit])
@pytest.mark.parametrize(
    ("lower", "upper", "want"),
    [
        (0.0, 3.0, 3),
        (0.5, 2.9, 4.5),
        (3.0, 0.0, 0),
        (-1.5, 1.0, -1.5),
        (0.0, float("nan"), 0),
        (np.float16(0), np.float16(3), 3),
    ],
)
def test_loops_that_count_floats(wrap, lower, upper, want):
    assert float(wrap(lambda a, b: lax.fori_loop(a, b, lambda i, c: c + i, 0.0))(lower, upper)) == want
    assert float(lax.fori_loop(lower, upper, lambda i, c: c + i, 0.0)) == want
    assert float(pb.grad(lambda x: lax.fori_loop(lower, upper, lambda i, c: c + i * x, 0.0))(2.0)) == want


@pytest.mark.parametrize(
    ("lower", "upper"), [(0, 3.0), (0.0, 3), (np.uint8(0), np.int8(3)), (0j, 3), ("a", 3), (True, 3)]
)
def test_bounds_of_different_types(lower, upper):
    with pytest.raises(TypeError, match="fori_loop"):
        lax.fori_loop(lower, upper, lambda i, c: c + i, 0.0)
