"""checkify: what is found, what is said about it, in every nesting with the other transformations, and what is refused."""

import linecache

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.experimental import checkify as ck


def positive(x):
    ck.check(x > 0, "x must be positive, got {x} and {}", x * 2, x=x)
    return x * x


MESSAGE = "x must be positive, got -3.0 and -6.0 (`check` failed)"


def found(f, *args, errors=ck.user_checks):
    """What went wrong in `f(*args)`, without the place; None if nothing."""
    return text(ck.checkify(f, errors=errors)(*args)[0])


def text(error):
    message = error.get()
    return None if message is None else "\n".join(line.split(" [at ")[0] for line in message.split("\n"))


# ---- user checks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "apply",
    [
        lambda f: ck.checkify(f),
        lambda f: pb.jit(ck.checkify(f)),
        lambda f: ck.checkify(pb.jit(f)),
        lambda f: ck.checkify(pb.jit(pb.jit(f))),
        lambda f: pb.jit(ck.checkify(pb.jit(f))),
        lambda f: ck.checkify(pb.checkpoint(f)),
        lambda f: ck.checkify(lambda x: positive(x)),
    ],
)
def test_a_failure_is_a_result_and_the_output_is_still_there(apply):
    checked = apply(positive)
    error, y = checked(3.0)
    assert error.get() is None and error.get_exception() is None and y == 9.0
    error.throw()
    error, y = checked(-3.0)
    assert text(error) == MESSAGE and y == 9.0
    with pytest.raises(ck.JaxRuntimeError, match="x must be positive"):
        error.throw()
    assert isinstance(error.get_exception(), ck.JaxRuntimeError)


def test_the_message_says_where_the_check_is():
    error, _ = pb.jit(ck.checkify(positive))(-1.0)
    place = error.get().split(" [at ")[1]
    file, line = place.split(" ")[0].rsplit(":", 1)
    assert file == __file__ and "ck.check(x > 0" in linecache.getline(file, int(line)) and "(positive)" in place


def test_eagerly_a_failing_check_raises_at_once():
    assert positive(jnp.float32(2.0)) == 4.0
    for f in (positive, pb.grad(positive), pb.value_and_grad(positive)):
        with pytest.raises(ck.JaxRuntimeError, match="got -3.0 and -6.0"):
            f(jnp.float32(-3.0))
    assert np.array_equal(pb.vmap(positive)(jnp.arange(1.0, 3.0)), [1.0, 4.0])
    with pytest.raises(ck.JaxRuntimeError, match=r"at mapped index 1: .*got -2\.0"):
        pb.vmap(positive)(jnp.array([1.0, -2.0]))


@pytest.mark.parametrize(
    "f", [pb.jit(positive), pb.jit(pb.grad(positive)), pb.grad(pb.jit(positive)), pb.vmap(pb.jit(positive))]
)
def test_compiling_a_check_without_checkify_is_refused(f):
    with pytest.raises(ValueError, match=r"checkify\.checkify.*test_checkify\.py"):
        f(jnp.ones(3) if f.__name__.startswith("vmap") else 1.0)


def test_the_first_of_several_failures_is_reported():
    def f(x, y):
        ck.check(x > 0, "first {}", x)
        ck.check(y > 0, "second {}", y)
        ck.check(x + y > 0, "third")

    for checked in (ck.checkify(f), pb.jit(ck.checkify(f)), ck.checkify(pb.jit(f))):
        said = [text(checked(*args)[0]) for args in [(-1.0, -2.0), (1.0, -2.0), (3.0, -2.0), (-1.0, 2.0), (1.0, 1.0)]]
        assert said == [
            "first -1.0 (`check` failed)",
            "second -2.0 (`check` failed)",
            "second -2.0 (`check` failed)",
            "first -1.0 (`check` failed)",
            None,
        ]


def test_failures_of_several_calls_of_one_program_are_told_apart():
    inner = pb.jit(lambda x, name: ck.check(x > 0, "{} fails", name))

    def f(x):
        for i in range(3):
            inner(x[i], jnp.int32(i))
        return x

    assert [found(f, jnp.array(x)) for x in ([1.0, 1, 1], [1.0, 1, -1], [1.0, -1, -1])] == [
        None,
        "2 fails (`check` failed)",
        "1 fails (`check` failed)",
    ]


def test_formatting_arguments_are_trees_of_arrays_of_any_type():
    key = pb.random.key(0)

    def f(x, i):
        ck.check(jnp.all(x > 0), "{:.3f} {a[n]} {b} {c.shape}", x[0], a={"n": i}, b=x, c=key)

    assert found(f, jnp.array([-1.0, 2.0]), 7) == "-1.000 7 [-1.  2.] () (`check` failed)"
    assert (
        found(lambda x: ck.check(x, "braces {mean} themselves"), False) == "braces {mean} themselves (`check` failed)"
    )
    assert found(lambda x: ck.check(x, "{:.1f}", 2.0), False) == "2.0 (`check` failed)"


def test_predicates_of_every_boolean_type():
    for true in (True, np.True_, np.array(True), jnp.array(True)):
        ck.check(true, "")
        with pytest.raises(ck.JaxRuntimeError):
            ck.check(np.logical_not(true), "")


def test_debug_checks_count_only_inside_checkify():
    def f(x):
        ck.debug_check(x > 0, "negative: {}", x)
        return x + 1

    assert f(-1.0) == 0.0 and pb.jit(f)(-1.0) == 0.0 and pb.grad(pb.jit(f))(-1.0) == 1.0
    assert found(f, -1.0) == found(pb.jit(f), -1.0) == "negative: -1.0 (`check` failed)"


# ---- vmap and derivatives ---------------------------------------------------------------------------------------


def test_vmap_of_checkify_tells_which_elements_fail():
    x = jnp.array([1.0, -3.0, 2.0, -4.0])
    for checked in (pb.vmap(ck.checkify(positive)), pb.jit(pb.vmap(ck.checkify(positive)))):
        error, y = checked(x)
        first, second = text(error).split("\n")
        assert first == f"at mapped index 1: {MESSAGE}" and second.startswith("at mapped index 3: x must be")
        assert np.array_equal(y, x * x)
        with pytest.raises(ck.JaxRuntimeError, match="at mapped index 1"):
            error.throw()
    assert pb.vmap(ck.checkify(positive))(abs(x))[0].get() is None
    nested = pb.vmap(pb.vmap(ck.checkify(positive)))(jnp.array([[1.0, 2.0], [1.0, -3.0]]))[0]
    assert text(nested) == f"at mapped index 1, 1: {MESSAGE}"


def test_vmap_of_several_checks_reports_the_first_of_each_element():
    def f(x):
        ck.check(x > 0, "first")
        ck.check(x > 1, "second {}", x)

    error, _ = pb.vmap(ck.checkify(f))(jnp.array([0.5, -1.0, 2.0]))
    assert text(error) == "at mapped index 0: second 0.5 (`check` failed)\nat mapped index 1: first (`check` failed)"


def test_checkify_of_vmap_reports_the_first_element_that_fails():
    x = jnp.array([[1.0, 2.0], [-3.0, -4.0]])
    for f in (pb.vmap(pb.vmap(positive)), pb.jit(pb.vmap(pb.vmap(positive))), pb.vmap(pb.jit(pb.vmap(positive, 0)))):
        assert found(f, x) == MESSAGE
        assert found(f, abs(x)) is None
    assert found(pb.vmap(positive), jnp.zeros(0)) is None
    assert found(pb.vmap(lambda x, y: ck.check(y > 0, "{}", x), (0, None)), x[0], -1.0) == "1.0 (`check` failed)"


@pb.custom_jvp
def with_jvp(x):
    return positive(x)


@with_jvp.defjvp
def with_jvp_rule(primals, tangents):
    (x,), (t,) = primals, tangents
    return with_jvp(x), 2 * x * t


@pb.custom_vjp
def with_vjp(x):
    return positive(x)


with_vjp.defvjp(lambda x: (with_vjp(x), x), lambda x, ct: (2 * x * ct,))


def closed_over(x):
    y = 1 * x
    return pb.checkpoint(lambda z: positive(z) * y / z)(x)


@pytest.mark.parametrize(
    "f",
    [positive, pb.jit(positive), pb.checkpoint(positive), pb.jit(pb.checkpoint(positive)), closed_over]
    + [with_jvp, pb.jit(with_jvp), with_vjp, pb.jit(with_vjp), pb.checkpoint(with_vjp)],
)
@pytest.mark.parametrize("errors", [ck.user_checks, ck.all_checks], ids=["user", "all"])
def test_derivatives_in_both_nestings(f, errors):
    checkified = lambda f: ck.checkify(f, errors=errors)

    def loss(x):
        error, y = checkified(f)(x)
        return y, error

    for x, message in ((-3.0, MESSAGE), (2.0, None)):
        error, g = checkified(pb.grad(f))(x)
        assert text(error) == message and np.allclose(g, 2 * x)
        error, g = pb.jit(checkified(pb.grad(f)))(x)
        assert text(error) == message and np.allclose(g, 2 * x)
        for gradient in (pb.grad(loss, has_aux=True), pb.jit(pb.grad(loss, has_aux=True))):
            g, error = gradient(x)
            assert text(error) == message and np.allclose(g, 2 * x)
    (y, error), (t, _) = pb.jvp(loss, (-3.0,), (1.0,))
    assert text(error) == MESSAGE and np.allclose(t, -6.0) and np.allclose(y, 9.0)
    xs = jnp.array([2.0, -3.0])
    g, error = pb.vmap(pb.grad(loss, has_aux=True))(xs)
    assert text(error) == f"at mapped index 1: {MESSAGE}" and np.allclose(g, 2 * xs)
    error, g = checkified(pb.vmap(pb.grad(f)))(xs)
    assert text(error) == MESSAGE and np.allclose(g, 2 * xs)


def test_gradient_of_a_checkified_compiled_function():
    def loss(x):
        error, y = pb.jit(ck.checkify(pb.jit(lambda x: jnp.log(x) * positive(x)), errors=ck.all_checks))(x)
        return y, error

    g, error = pb.grad(loss, has_aux=True)(-3.0)
    assert text(error) == "nan generated by primitive: log." and np.isnan(g)
    g, error = pb.grad(loss, has_aux=True)(1.0)
    assert error.get() is None and np.allclose(g, 1.0)


def test_second_derivatives():
    f = ck.checkify(lambda x: positive(x) * x)
    first = lambda x: pb.grad(lambda x: f(x)[::-1], has_aux=True)(x)
    second, error = pb.grad(lambda x: first(x), has_aux=True)(-3.0)
    assert second == -18.0 and text(error) == MESSAGE


def test_checks_of_a_backward_pass_are_found_around_the_gradient():
    @pb.custom_vjp
    def f(x):
        return x

    def bwd(_, ct):
        ck.check(ct < 5, "cotangent {}", ct)
        return (ct,)

    f.defvjp(lambda x: (x, None), bwd)
    gradient = pb.grad(lambda x: 7 * f(x))
    assert found(gradient, 1.0) == found(pb.jit(gradient), 1.0) == "cotangent 7.0 (`check` failed)"
    assert found(f, 1.0) is None


# ---- NaN --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "args", "primitive"),
    [
        (jnp.sin, (np.inf,), "sin"),
        (jnp.log, (-1.0,), "log"),
        (lambda x: x - x, (np.inf,), "sub"),
        (lambda x, y: jnp.sqrt(x) + y, (-1.0, 1.0), "sqrt"),
        (jnp.sum, (np.array([np.inf, -np.inf]),), "reduce_sum"),
        (lambda x: x @ x, (np.array([[np.inf, 0.0], [1.0, 1.0]]),), "dot_general"),
        (lambda x: x * 1j, (np.inf,), "mul"),
        (pb.jit(lambda x: jnp.exp(pb.jit(jnp.log)(x))), (-1.0,), "log"),
        (pb.vmap(jnp.log), (np.array([1.0, -1.0]),), "log"),
        (pb.grad(lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0)), (0.0,), "mul"),
    ],
)
def test_nan_checks_name_the_operation(f, args, primitive):
    message = f"nan generated by primitive: {primitive}."
    assert found(f, *args, errors=ck.nan_checks) == message
    assert text(pb.jit(ck.checkify(f, errors=ck.nan_checks))(*args)[0]) == message
    assert found(f, *args) is None
    assert found(f, *[np.ones_like(x) for x in args], errors=ck.nan_checks) is None


def test_moving_a_nan_generates_none():
    x = jnp.array([[np.nan, 1.0]])
    moves = [
        lambda x: x.T,
        lambda x: jnp.concatenate([x, x]),
        lambda x: x[0, 1:],
        lambda x: x[:, jnp.array([0])],
        lambda x: jnp.where(jnp.isnan(x), x, 0),
        lambda x: -x,
        lambda x: x.at[0, 0].set(1.0),
        lambda x: x.astype(jnp.float16),
        lambda x: jnp.maximum(x, 0),
        jnp.sort,
    ]
    for f in moves:
        assert found(f, x, errors=ck.nan_checks) is None


def test_the_place_of_a_nan():
    def f(x):
        y = jnp.sin(x)
        return jnp.log(y)  # here

    error, _ = ck.checkify(pb.jit(f), errors=ck.nan_checks)(-1.0)
    line = int(error.get().split("test_checkify.py:")[1].split(" ")[0])
    assert linecache.getline(__file__, line).endswith("# here\n")


def test_libraries_generate_no_nan():
    def f(key, x):
        y = pb.random.normal(key, (3,)) + pb.nn.softmax(x)
        return pb.nn.gelu(y), jnp.linspace(0.0, x[0], 4), jnp.var(x), jnp.linalg.norm(x)

    key, x = pb.random.key(0), jnp.arange(1.0, 4.0)
    for errors in (ck.float_checks, ck.all_checks):
        assert found(f, key, x, errors=errors) is None


# ---- division and indices ---------------------------------------------------------------------------------------


def test_division_by_zero():
    divide = lambda x, y: x / y
    for errors in (ck.div_checks, ck.float_checks, ck.all_checks):
        assert found(divide, 1.0, 0.0, errors=errors) == "division by zero"
        assert found(divide, 0.0, 0.0, errors=errors) == "division by zero"  # the division is before its NaN
        assert found(divide, np.ones(3), np.array([1.0, 0.0, 2.0]), errors=errors) == "division by zero"
        assert found(divide, 1.0, 2.0, errors=errors) is None
    assert found(lambda i, j: i // j, 1, 0, errors=ck.div_checks) == "division by zero"
    assert found(lax.div, 1, 0, errors=ck.div_checks) == "division by zero"
    assert found(lambda x: x / 0.0, 1.0, errors=ck.div_checks) == "division by zero"
    assert found(divide, 0.0, 0.0, errors=ck.nan_checks) == "nan generated by primitive: div."
    assert found(divide, np.zeros((0, 1)), 0.0, errors=ck.div_checks) is None


def oob(shape, index, axis):
    return (
        f"out-of-bounds indexing for array of shape {shape}: index {index} is out of bounds for axis {axis} with size "
        f"{shape[axis]}."
    )


VECTOR, TABLE = np.arange(3.0, dtype=np.float32), np.ones((3, 4), np.float32)
INDEXED = {
    "item": (lambda x, i: x[i], (VECTOR, 5), oob((3,), 5, 0)),
    "last": (lambda x, i: x[i], (VECTOR, 2), None),
    "negative": (lambda x, i: x[i], (VECTOR, -3), None),
    "too negative": (lambda x, i: x[i], (VECTOR, -5), oob((3,), -2, 0)),
    "several": (lambda x, i: x[i], (VECTOR, np.array([0, 7, 9])), oob((3,), 7, 0)),
    "small type": (lambda x, i: x[i], (np.zeros(300), np.int8(-1)), None),
    "unsigned": (lambda x, i: x[i], (VECTOR, np.uint8(3)), oob((3,), 3, 0)),
    "second axis": (lambda x, i, j: x[i, j], (TABLE, 1, 20), oob((3, 4), 20, 1)),
    "column": (lambda x, j: x[:, j], (TABLE, 20), oob((3, 4), 20, 1)),
    "pairs": (lambda x, i, j: x[i, j], (TABLE, np.array([0, 1]), np.array([3, 4])), oob((3, 4), 4, 1)),
    "no index": (lambda x, i: x[i], (VECTOR, np.zeros(0, np.int32)), None),
    "take": (lambda x, i: jnp.take(x, i, axis=1), (TABLE, 9), oob((3, 4), 9, 1)),
    "take_along_axis": (lambda x, i: jnp.take_along_axis(x, i, 0), (VECTOR, np.array([4])), oob((3,), 4, 0)),
    "set": (lambda x, i: x.at[i].set(0), (VECTOR, 5), oob((3,), 5, 0)),
    "add": (lambda x, i: x.at[i].add(1), (VECTOR, np.array([1, 5])), oob((3,), 5, 0)),
    "multiply": (lambda x, i: x.at[i].multiply(2), (VECTOR, np.array([1, -9])), oob((3,), -6, 0)),
    "dynamic_slice": (lambda x, i: lax.dynamic_slice(x, (i,), (2,)), (VECTOR, 2), oob((3,), 2, 0)),
    "dynamic_slice inside": (lambda x, i: lax.dynamic_slice(x, (i,), (2,)), (VECTOR, 1), None),
    "block": (lambda x, i: lax.dynamic_slice(x, (0, i), (2, 2)), (TABLE, 3), oob((3, 4), 3, 1)),
    "update": (lambda x, i: lax.dynamic_update_slice(x, x[:2, :2], (i, 0)), (TABLE, 2), oob((3, 4), 2, 0)),
    "static": (lambda x: x[1:, ::2].at[0].set(5.0), (TABLE,), None),
    "grad": (pb.grad(lambda x, i: x[i]), (VECTOR, 5), oob((3,), 5, 0)),
    "vmap": (pb.vmap(lambda x, i: x[i], (None, 0)), (VECTOR, np.array([0, 5])), oob((3,), 5, 0)),
    "vmap of dynamic_slice": (
        pb.vmap(lambda x, i: lax.dynamic_slice(x, (0, i), (1, 2)), (None, 0)), (TABLE, np.array([0, 3])), oob((3, 4), 3, 1),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("f", "args", "message"), INDEXED.values(), ids=INDEXED)
def test_index_checks(f, args, message):
    assert found(f, *args, errors=ck.index_checks) == message
    assert text(pb.jit(ck.checkify(f, errors=ck.index_checks))(*args)[0]) == message
    assert text(ck.checkify(pb.jit(f), errors=ck.automatic_checks)(*args)[0]) == message
    assert found(f, *args, errors=ck.float_checks) is None


def test_index_checks_under_vmap():
    error, _ = pb.vmap(ck.checkify(lambda x, i: x[i], errors=ck.index_checks), (None, 0))(VECTOR, np.array([0, 5, -9]))
    assert text(error) == f"at mapped index 1: {oob((3,), 5, 0)}\nat mapped index 2: {oob((3,), -6, 0)}"


# ---- sets of categories -----------------------------------------------------------------------------------------


def everything(x, i):
    y = jnp.log(x)
    ck.check(x > -2, "user {}", x)
    return y / x + jnp.arange(3.0)[i]


def test_only_the_categories_asked_for_are_looked_for():
    def said(errors, *args):
        (plain,) = {
            found(everything, *args, errors=errors),
            found(pb.jit(everything), *args, errors=errors),
            text(pb.jit(ck.checkify(everything, errors=errors))(*args)[0]),
        }
        return plain

    assert said(ck.user_checks, -3.0, 9) == "user -3.0 (`check` failed)"
    assert said(ck.nan_checks, -3.0, 9) == "nan generated by primitive: log."
    assert said(ck.user_checks | ck.nan_checks, -3.0, 9) == "nan generated by primitive: log."
    assert said(ck.user_checks | ck.index_checks, -3.0, 9) == "user -3.0 (`check` failed)"
    assert said(ck.user_checks | ck.index_checks, 1.0, 9) == oob((3,), 9, 0)
    assert said(ck.div_checks, 0.0, 9) == "division by zero"
    assert said(ck.all_checks - ck.nan_checks, 0.0, 9) == "division by zero"
    assert said(frozenset(), -3.0, 9) is None
    assert said(ck.all_checks, 1.0, 0) is None


def test_the_sets():
    assert ck.float_checks == ck.nan_checks | ck.div_checks
    assert ck.automatic_checks == ck.float_checks | ck.index_checks
    assert ck.all_checks == ck.automatic_checks | ck.user_checks
    assert all(isinstance(s, frozenset) for s in (ck.user_checks, ck.all_checks))
    assert found(positive, -3.0, errors=list(ck.user_checks)) == MESSAGE


# ---- errors as values -------------------------------------------------------------------------------------------


def rethrown(x):
    error, y = pb.jit(ck.checkify(lambda x: positive(jnp.log(x)), errors=ck.all_checks))(x)
    ck.check_error(error)
    return y


def test_check_error_raises_again():
    assert ck.check_error(ck.init_error) is None and ck.init_error.get() is None
    with pytest.raises(ck.JaxRuntimeError, match="generated by primitive: log"):
        rethrown(-1.0)
    with pytest.raises(ck.JaxRuntimeError, match="x must be positive"):
        rethrown(0.5)
    with pytest.raises(ValueError, match="checkify"):
        pb.jit(rethrown)(1.0)


@pytest.mark.parametrize("wrap", [lambda f: f, pb.jit, pb.checkpoint])
def test_an_error_inside_becomes_the_error_outside_if_its_category_is_looked_for(wrap):
    f = wrap(rethrown)
    assert found(f, -1.0, errors=ck.nan_checks) == "nan generated by primitive: log."
    assert found(f, -1.0, errors=ck.user_checks) is None
    assert found(f, 0.5, errors=ck.user_checks).startswith("x must be positive")
    assert found(f, 0.5, errors=ck.all_checks).startswith("x must be positive")
    assert found(f, 3.0, errors=ck.all_checks) is None
    assert found(lambda x: (ck.check(x > 0, "before"), f(x)), -1.0, errors=ck.all_checks).startswith("before")
    assert found(lambda x: ck.checkify(f)(x)[0].throw(), 0.5).startswith("x must be positive")


def test_a_batch_of_errors_inside_becomes_one_error():
    def f(x):
        pb.vmap(ck.checkify(positive))(x)[0].throw()

    assert found(f, jnp.array([1.0, -3.0, -4.0])) == MESSAGE
    assert found(pb.vmap(f), jnp.array([[1.0, 2.0], [-3.0, 1.0]])) == MESSAGE


def test_an_error_is_a_pytree():
    error, _ = ck.checkify(positive)(-3.0)
    leaves, tree = pb.tree.flatten(error)
    assert text(tree.unflatten(leaves)) == MESSAGE and hash(tree) == hash(pb.tree.structure(error))
    assert text(pb.jit(lambda e: e)(error)) == MESSAGE
    assert text(pb.device_get(error)) == MESSAGE
    assert tree == pb.tree.structure(ck.checkify(positive)(1.0)[0])
    assert "FailedCheckError" in repr(error)


def test_the_checkified_function_takes_and_gives_trees_and_keywords():
    def model(parameters, *, shift):
        ck.check(parameters["w"] > shift, "w is {}", parameters["w"])
        return {"out": parameters["w"] + shift, "none": None}

    error, out = ck.checkify(model)({"w": 1.0}, shift=2.0)
    assert out == {"out": 3.0, "none": None} and text(error) == "w is 1.0 (`check` failed)"
    assert ck.checkify(model).__name__ == "checkify(model)"


def test_gradients_of_integers():
    gradient = ck.checkify(pb.grad(lambda i, x: x * i, argnums=(0, 1), allow_int=True), errors=ck.all_checks)
    for f in (gradient, pb.jit(gradient)):
        error, (zero, g) = f(3, 2.0)
        assert error.get() is None and isinstance(zero, np.ndarray) and zero.dtype == pb.dtypes.float0 and g == 3.0


def test_programs_without_checks_are_called_as_they_are():
    inner = pb.jit(lambda x: jnp.sin(x) + 1)
    program = pb.make_jaxpr(ck.checkify(inner))(1.0)
    assert [str(e.primitive) for e in program.eqns] == ["jit"]
    assert program.eqns[0].params["jaxpr"] is pb.make_jaxpr(inner)(1.0).eqns[0].params["jaxpr"]


def test_a_check_is_not_a_side_effect_of_checkified_code():
    lowered = pb.jit(ck.checkify(positive, errors=ck.all_checks)).lower(1.0).as_text()
    assert "custom_call" not in lowered


# ---- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pred", [1.0, 1, "no", None, jnp.array([True, False]), jnp.int32(1), [True]])
def test_a_predicate_is_a_boolean_scalar(pred):
    with pytest.raises(TypeError, match=r"scalar pred.*test_checkify\.py"):
        ck.check(pred, "message")


@pytest.mark.parametrize("errors", [3, "nan", {3}, ["nan"], None, {ValueError}, ck.check])
def test_errors_is_a_set_of_categories(errors):
    with pytest.raises(TypeError, match="set of error categories"):
        ck.checkify(positive, errors=errors)


def test_what_else_is_refused():
    with pytest.raises(TypeError, match="PyTrees of arrays, but got 'text' of type <class 'str'>"):
        ck.check(True, "{}", "text")
    with pytest.raises(TypeError, match="PyTrees of arrays"):
        ck.check(True, "{a}", a=object())
    with pytest.raises(TypeError, match="takes a message"):
        ck.check(True, 3)
    with pytest.raises(KeyError, match=r"needs the formatting argument 'b'.*test_checkify\.py"):
        ck.checkify(lambda x: ck.check(x > 0, "{b}", a=x))(1.0)
    with pytest.raises(IndexError, match="Replacement index 1"):
        pb.jit(ck.checkify(lambda x: ck.check(x > 0, "{} {}", x)))(1.0)
    with pytest.raises(TypeError, match="takes a function"):
        ck.checkify(3)
    with pytest.raises(TypeError, match="takes an Error"):
        ck.check_error("error")
    with pytest.raises(TypeError, match=r"args\[0\]|argument of checkified"):
        ck.checkify(positive)("text")
    with pytest.raises(TypeError, match="output of checkified"):
        ck.checkify(lambda x: "text")(1.0)


def test_looking_at_a_traced_error_is_refused():
    with pytest.raises(pb.errors.ConcretizationTypeError):
        pb.jit(lambda x: ck.checkify(positive)(x)[0].get())(1.0)
    with pytest.raises(pb.errors.ConcretizationTypeError, match="belongs to a checkify Error"):
        pb.jit(lambda x: pb.vmap(ck.checkify(positive))(x)[0].get())(jnp.ones(3))


def test_errors_of_the_user_pass_through():
    def f(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ck.checkify(f)(1.0)
