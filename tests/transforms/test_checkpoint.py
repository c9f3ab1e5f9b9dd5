"""checkpoint: same derivatives as the plain function, at any nesting, with closures; recomputation only where the policy wants it."""

import pickle
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import checkpoint_policies as policies
from pullback import lax
from pullback.ad_checkpoint import (
    Offloadable,
    Recompute,
    Saveable,
    checkpoint_name,
    print_saved_residuals,
    saved_residuals,
)

POLICIES = {
    "default": None,
    "nothing": policies.nothing_saveable,
    "everything": policies.everything_saveable,
    "dots": policies.dots_saveable,
    "sines": lambda prim, *_, **params: prim.name == "sin",
}


def chain(x):
    return jnp.sin(jnp.sin(x * x) @ jnp.ones((2, 2), x.dtype)).sum()


DERIVATIVES = {
    "grad": lambda f: pb.grad(f),
    "jvp": lambda f: lambda x: pb.jvp(f, (x,), (jnp.ones(2),))[1],
    "reverse over reverse": lambda f: pb.grad(lambda x: (pb.grad(f)(x) ** 2).sum()),
    "forward over reverse": lambda f: lambda x: pb.jvp(pb.grad(f), (x,), (jnp.ones(2),))[1],
    "reverse over forward": lambda f: pb.grad(lambda x: pb.jvp(f, (x,), (jnp.ones(2),))[1]),
    "vmap of grad": lambda f: lambda x: pb.vmap(pb.grad(f))(jnp.stack([x, 2 * x])),
    "grad of vmap": lambda f: lambda x: pb.grad(lambda xs: pb.vmap(f)(xs).sum())(jnp.stack([x, 2 * x])),
    "linearize": lambda f: lambda x: pb.linearize(f, x)[1](jnp.ones(2)),
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_derivatives_equal_those_of_the_plain_function(policy, derivative):
    transform, x = DERIVATIVES[derivative], jnp.array([0.3, 1.2])
    expected = transform(chain)(x)
    assert np.allclose(transform(pb.checkpoint(chain, policy=POLICIES[policy]))(x), expected, atol=1e-5)
    nested = pb.checkpoint(lambda x: pb.checkpoint(chain, policy=POLICIES[policy])(x) * 1.0)
    assert np.allclose(transform(nested)(x), expected, atol=1e-5)


@pytest.mark.parametrize("policy", POLICIES)
def test_closed_over_values_are_differentiated(policy):
    def outer(wrap):
        return lambda w, x: wrap(lambda z: jnp.sin(z * w))(x) * w

    plain, remat = outer(lambda f: f), outer(lambda f: pb.checkpoint(f, policy=POLICIES[policy]))
    for transform in (
        lambda f: pb.grad(f, (0, 1)),
        lambda f: lambda *a: pb.jvp(f, a, (1.0, 2.0)),
        lambda f: pb.grad(lambda w, x: pb.grad(f)(w, x)),
        lambda f: lambda w, x: pb.vmap(pb.grad(f), (0, None))(jnp.array([w, 2.0]), x),
    ):
        assert np.allclose(np.array(transform(remat)(1.2, 0.7)), np.array(transform(plain)(1.2, 0.7)))


def count_sines(policy):
    calls = []

    @pb.custom_jvp
    def sine(x):
        calls.append(None)
        return jnp.sin(x)

    sine.defjvp(lambda p, t: (sine(p[0]), jnp.cos(p[0]) * t[0]))
    pb.grad(pb.checkpoint(lambda x: sine(x) * x, policy=policy))(1.0)
    return len(calls)


def test_the_function_runs_once_and_its_operations_twice():
    runs = []

    def f(x):
        runs.append(None)
        return sine(x) * x

    calls = []

    @pb.custom_jvp
    def sine(x):
        return pb.pure_callback(lambda x: (calls.append(None), np.sin(x))[1], x, x)

    sine.defjvp(lambda p, t: (sine(p[0]), jnp.cos(p[0]) * t[0]))
    y, pullback = pb.vjp(pb.checkpoint(f), 1.0)
    assert len(runs) == len(calls) == 1
    assert np.allclose(pullback(1.0)[0], np.sin(1) + np.cos(1))
    assert (len(runs), len(calls)) == (1, 2)


def test_what_is_computed_again_is_what_was_computed_first():
    factor, rng = [7.0], np.random.RandomState(0)
    y, pullback = pb.vjp(pb.checkpoint(lambda x: x * factor[0]), 1.0)
    factor[0] = 100.0
    assert float(y) == float(pullback(1.0)[0]) == 7.0
    y, gradient = pb.value_and_grad(pb.checkpoint(lambda x: x * rng.rand()))(1.0)
    assert float(y) == float(gradient)


def test_a_policy_stores_named_values():
    evaluated = []

    def f(x):
        y = checkpoint_name(
            pb.pure_callback(
                lambda v: (evaluated.append(None), np.sin(v))[1],
                pb.ShapeDtypeStruct((), jnp.float32),
                pb.lax.stop_gradient(x),
            ),
            "costly",
        )
        return y * x

    pb.grad(pb.checkpoint(f, policy=policies.save_only_these_names("costly")))(1.0)
    named = len(evaluated)
    pb.grad(pb.checkpoint(f, policy=policies.save_only_these_names("other")))(1.0)
    # The name's own value is stored either way round; what feeds it runs again, for it is not named.
    assert named == 2 and len(evaluated) == 4
    pb.grad(pb.checkpoint(f, policy=policies.everything_saveable))(1.0)
    assert len(evaluated) == 5


def test_static_arguments():
    f = pb.checkpoint(lambda flag, x: jnp.sin(x) if flag else x, static_argnums=(0,))
    assert np.allclose(pb.grad(f, 1)(True, 0.5), np.cos(0.5))
    with pytest.raises(TypeError, match="static_argnums"):
        pb.checkpoint(lambda s, x: x)("name", 1.0)


@pytest.mark.parametrize("policy", [None, "dots_saveable", "everything_saveable", "nothing_saveable"])
def test_checkpoints_in_jitted_functions_that_close_over_traced_values(policy: str | None) -> None:
    weights = jnp.ones((3, 3)) * 0.3

    def f(x: Any) -> Any:
        y = jnp.sin(x)
        kept = getattr(pb.checkpoint_policies, policy) if policy else None
        return pb.checkpoint(lambda z: jnp.tanh(z @ weights) * y + jnp.cos(z @ z), policy=kept)(x).sum()

    x = jnp.arange(3.0)
    gradient, hessian = pb.grad(f)(x), pb.hessian(f)(x)
    for g in (pb.grad(pb.jit(f)), pb.jit(pb.grad(f)), pb.jit(pb.grad(pb.jit(f)))):
        np.testing.assert_allclose(g(x), gradient, rtol=1e-5)
    for h in (
        pb.hessian(pb.jit(f)),
        pb.jit(pb.hessian(f)),
        pb.jacrev(pb.grad(pb.jit(f))),
        pb.jacrev(pb.jacfwd(pb.jit(f))),
    ):
        np.testing.assert_allclose(h(x), hessian, rtol=1e-4, atol=1e-5)
    rows = jnp.stack([x, x])
    for transformed in (pb.vmap(pb.grad(pb.jit(f))), pb.grad(lambda r: pb.jit(pb.vmap(f))(r).sum())):
        np.testing.assert_allclose(transformed(rows)[1], gradient, rtol=1e-5)


# ---- policies ---------------------------------------------------------------------------------------------------

WEIGHTS = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)), jnp.float32)
ROWS = jnp.ones((2, 3))


def layers(x: Any, w: Any) -> Any:
    hidden = checkpoint_name(jnp.sin(x @ w), "hidden")
    scores = jnp.einsum("bi,bj->bij", hidden, hidden)
    return jnp.cos(jnp.einsum("bij,bj->bi", scores, hidden)).sum()


def stored(policy: Any, f: Any = layers, *args: Any) -> list[tuple[int, ...]]:
    """Shapes of what a checkpointed function stores besides its arguments and what is there anyway."""
    found = saved_residuals(pb.checkpoint(f, policy=policy), *(args or (ROWS, WEIGHTS)))
    return sorted(r.aval.shape for r in found if "argument" not in r.source and "constant" not in r.source)


def test_what_policies_store() -> None:
    assert stored(None) == stored(policies.nothing_saveable) == []
    assert stored(policies.dots_saveable) == stored(policies.checkpoint_dots) == [(2, 3), (2, 3)]
    assert stored(policies.dots_with_no_batch_dims_saveable) == [(2, 3)]
    assert (
        stored(policies.save_only_these_names("hidden")) == stored(policies.save_any_names_but_these("x")) == [(2, 3)]
    )
    assert stored(policies.save_only_these_names("x")) == stored(policies.save_any_names_but_these("hidden")) == []
    # What is named is stored all the same, as the result of a sine; what no derivative needs is not stored.
    most = stored(lambda *_, **__: True)
    assert most == stored(policies.save_anything_except_these_names("hidden")) and len(most) < 8
    both = policies.save_from_both_policies(
        policies.dots_with_no_batch_dims_saveable, policies.save_only_these_names("hidden")
    )
    assert stored(both) == [(2, 3), (2, 3)]
    assert stored(policies.everything_saveable) == sorted(
        r.aval.shape for r in saved_residuals(layers, ROWS, WEIGHTS) if "argument" not in r.source
    )
    convolution = lambda x: jnp.sin(pb.lax.conv(x, jnp.ones((1, 1, 2, 2)), (1, 1), "SAME")).sum()
    assert stored(policies.dots_saveable, convolution, jnp.ones((1, 1, 4, 4))) == [(1, 1, 4, 4)]


def test_offloading_stores() -> None:
    offload = policies.offload_dot_with_no_batch_dims("device", "pinned_host")
    assert stored(offload) == [(2, 3)]
    by_name = policies.save_and_offload_only_these_names(
        names_which_can_be_saved=["x"],
        names_which_can_be_offloaded=["hidden"],
        offload_src="device",
        offload_dst="pinned_host",
    )
    assert stored(by_name) == [(2, 3)]
    expected = pb.grad(layers)(ROWS, WEIGHTS)
    for policy in (offload, by_name):
        np.testing.assert_allclose(
            pb.jit(pb.grad(pb.checkpoint(layers, policy=policy)))(ROWS, WEIGHTS), expected, rtol=1e-5
        )
    with pytest.raises(ValueError, match=r"not both: \['a'\]"):
        policies.save_and_offload_only_these_names(
            names_which_can_be_saved=["a"], names_which_can_be_offloaded=["a"], offload_src="device", offload_dst="host"
        )


def test_policies_are_pickled_as_what_makes_them() -> None:
    named = policies.save_only_these_names("a", "b")
    made = [
        policies.everything_saveable, policies.dots_saveable, named, policies.save_any_names_but_these("a"),
        policies.save_anything_except_these_names("a"), policies.save_from_both_policies(policies.dots_saveable, named),
        policies.save_and_offload_only_these_names(
            names_which_can_be_saved=["a"], names_which_can_be_offloaded=["b"], offload_src="device", offload_dst="pinned_host"
        ),
        policies.offload_dot_with_no_batch_dims(offload_src="device", offload_dst="pinned_host"),
    ]  # fmt: skip
    for policy in made:
        assert pickle.loads(pickle.dumps(policy)) is policy
    assert repr(named) == "save_only_these_names('a', 'b')"
    with pytest.raises(TypeError, match="offload_dst"):
        policies.offload_dot_with_no_batch_dims("device")


def test_policies_that_say_what_they_mean() -> None:
    assert stored(lambda prim, *_, **__: Saveable if prim.name == "sin" else Recompute) == [(2, 3)]
    assert stored(lambda prim, *_, **__: Offloadable("device", "host") if prim.name == "sin" else Recompute) == [(2, 3)]


def test_policies_are_asked_about_jitted_functions() -> None:
    assert stored(policies.save_only_these_names("hidden"), pb.jit(layers), ROWS, WEIGHTS) == [(2, 3)]


def test_results_of_operations_with_several_are_stored() -> None:
    f = lambda x: (jnp.linalg.eigh(x @ x.T)[0] ** 2).sum()
    x = jnp.asarray(np.random.default_rng(1).normal(size=(3, 3)), jnp.float32)
    kept = pb.checkpoint(f, policy=lambda prim, *_, **__: prim.name == "eigh")
    assert len(saved_residuals(kept, x)) == 3
    np.testing.assert_allclose(pb.grad(kept)(x), pb.grad(f)(x), rtol=1e-3, atol=1e-4)


def test_stored_results_stay_weakly_typed() -> None:
    f = lambda x: (jnp.sin(x) * jnp.ones(2, jnp.bfloat16)).sum().astype(jnp.float32)
    kept = pb.checkpoint(f, policy=lambda prim, *_, **__: prim.name == "sin")
    np.testing.assert_allclose(pb.grad(kept)(0.5), pb.grad(f)(0.5))


# ---- loops ------------------------------------------------------------------------------------------------------


def step(c: Any, _: Any) -> Any:
    return jnp.sin(jnp.cos(checkpoint_name(c @ WEIGHTS, "product"))), c.sum()


def looped(body: Any) -> Any:
    def f(x: Any) -> Any:
        c, ys = pb.lax.scan(body, x, None, length=5)
        return (c**2).sum() + (ys**2).sum()

    return f


def test_checkpointed_bodies_store_carries_only() -> None:
    sizes = lambda body: sorted(
        r.aval.shape for r in saved_residuals(looped(body), ROWS) if r.aval.shape[:1] == (5,) and r.aval.ndim > 1
    )
    assert sizes(step) == [(5, 2, 3)] * 2
    assert sizes(pb.checkpoint(step)) == [(5, 2, 3)]
    # The products, and no carries, which are then not needed.
    assert sizes(pb.checkpoint(step, policy=policies.dots_saveable)) == [(5, 2, 3)]
    # The backward loop computes the product again.
    count = lambda f: pb.jit(pb.value_and_grad(f)).lower(ROWS).as_text().count("dot_general")
    assert count(looped(step)) == 2 and count(looped(pb.checkpoint(step))) == 3


@pytest.mark.parametrize(
    ("policy", "stacked"),
    [
        (None, 0),
        (policies.dots_saveable, 1),
        (policies.save_only_these_names("product"), 1),
        (policies.save_only_these_names("other"), 0),
        (lambda prim, *_, **__: prim.name in ("cos", "dot_general"), 2),
    ],
)
def test_policies_store_what_the_steps_of_a_scan_compute(policy: Any, stacked: int) -> None:
    kept = pb.checkpoint(looped(step), policy=policy)
    assert stored(policy, looped(step), ROWS) == [(5, 2, 3)] * stacked
    for transform in (
        pb.grad,
        lambda f: pb.jit(pb.grad(f)),
        lambda f: pb.grad(pb.jit(f)),
        lambda f: lambda x: pb.jvp(pb.grad(f), (x,), (x,))[1],
        lambda f: pb.grad(lambda x: (pb.grad(f)(x) ** 2).sum()),
        lambda f: lambda x: pb.vmap(pb.grad(f))(jnp.stack([x, 2 * x])),
        lambda f: pb.grad(lambda x: pb.vmap(f)(jnp.stack([x, 2 * x])).sum()),
        lambda f: lambda x: pb.linearize(f, x)[1](x),
    ):
        np.testing.assert_allclose(transform(kept)(ROWS), transform(looped(step))(ROWS), rtol=1e-4, atol=1e-4)


def test_stored_products_are_not_computed_again() -> None:
    count = lambda policy: (
        pb.jit(pb.value_and_grad(pb.checkpoint(looped(step), policy=policy))).lower(ROWS).as_text().count("dot_general")
    )
    assert count(None) == 3 and count(policies.dots_saveable) == 2


def test_a_barrier_holds_the_recomputation_apart() -> None:
    text = lambda **options: pb.jit(pb.grad(pb.checkpoint(layers, **options))).lower(ROWS, WEIGHTS).as_text()
    assert "optimization_barrier" in text()
    assert "optimization_barrier" not in text(prevent_cse=False)


# ---- nests ------------------------------------------------------------------------------------------------------


def nest(outer: Any, inner: Any) -> Any:
    """Two checkpoints, of which the inner one closes over values of the function and of the outer one."""

    def f(x: Any) -> Any:
        y = jnp.sin(x)

        def outside(z: Any) -> Any:
            u = jnp.cos(z)
            return pb.checkpoint(lambda w: checkpoint_name(jnp.sin(w @ WEIGHTS), "inside") * y + u, policy=inner)(z)

        return (pb.checkpoint(outside, policy=outer)(x) * y).sum()

    return f


def plain_nest(x: Any) -> Any:
    return ((jnp.sin(x @ WEIGHTS) * jnp.sin(x) + jnp.cos(x)) * jnp.sin(x)).sum()


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (None, None),
        (policies.dots_saveable, None),
        (None, policies.dots_saveable),
        (policies.save_only_these_names("inside"), policies.dots_saveable),
        (policies.save_anything_except_these_names("inside"), policies.nothing_saveable),
        (policies.everything_saveable, None),
        (None, policies.everything_saveable),
    ],
)
def test_checkpoints_in_checkpoints(outer: Any, inner: Any) -> None:
    f, rows = nest(outer, inner), jnp.stack([ROWS, 0.3 * ROWS])
    for transform in (
        pb.grad,
        lambda f: pb.jit(pb.grad(f)),
        lambda f: lambda x: pb.jvp(f, (x,), (x,))[1],
        lambda f: pb.grad(lambda x: pb.jvp(f, (x,), (x,))[1]),
        lambda f: lambda x: pb.vmap(f)(rows),
        lambda f: lambda x: pb.vmap(lambda x: pb.jvp(f, (x,), (x,))[1])(rows),
        lambda f: pb.grad(lambda x: pb.vmap(f)(rows * x[0, 0]).sum()),
        lambda f: pb.jit(pb.grad(lambda x: (pb.grad(f)(x) ** 2).sum())),
    ):
        np.testing.assert_allclose(transform(f)(ROWS), transform(plain_nest)(ROWS), rtol=1e-4, atol=1e-4)


def test_an_outer_policy_is_asked_about_inner_checkpoints() -> None:
    f = lambda policy, x: stored(policy, nest(None, None), x)
    assert f(policies.save_only_these_names("inside"), ROWS) == f(policies.dots_saveable, ROWS) == [(2, 3)]
    assert f(policies.save_only_these_names("other"), ROWS) == []


def test_control_flow_on_values_is_refused_by_name() -> None:
    with pytest.raises(pb.errors.ConcretizationTypeError, match=r"argument 1 of checkpointed <lambda>.*static_argnums"):
        pb.checkpoint(lambda x, n: x**3 if int(n) == 3 else x)(2.0, 3)
    power = pb.checkpoint(lambda x, n: x**3 if n == 3 else x, static_argnums=1)
    assert float(pb.jit(pb.grad(lambda x: power(x, 3)))(2.0)) == 12.0


def temporary(f: Any, x: Any) -> int:
    """Bytes that the compiled gradient needs besides its arguments and results."""
    return pb.jit(pb.grad(f)).lower(x).compile().memory_analysis().temp_size_in_bytes


def test_compiled_programs_compute_again_and_need_less_memory() -> None:
    weights = jnp.ones((64, 64)) / 64

    def layer(x: Any) -> Any:
        for _ in range(4):
            x = jnp.sin(jnp.tanh(x) @ weights)
        return x

    def layers(wrap: Any, count: int = 16) -> Any:
        def f(x: Any) -> Any:
            for _ in range(count):
                x = wrap(layer)(x)
            return x.sum()

        return f

    def halves(count: int) -> Any:
        half = pb.checkpoint(halves(count // 2)) if count > 1 else layer
        return lambda x: half(half(x))

    x = jnp.ones((256, 64))
    plain, once, in_halves = temporary(layers(lambda f: f), x), temporary(layers(pb.checkpoint), x), temporary(
        lambda x: halves(16)(x).sum(), x
    )  # fmt: skip
    assert plain > 3 * once > 3 * in_halves, (plain, once, in_halves)
    assert temporary(layers(lambda f: pb.checkpoint(f, prevent_cse=False)), x) > 3 * once


def test_second_derivatives_store_inputs_only() -> None:
    def f(x: Any) -> Any:
        for _ in range(8):
            x = jnp.sin(jnp.cos(x))
        return x.sum()

    squared = lambda f: lambda x: (pb.grad(f)(x) ** 2).sum()
    count = lambda f: sum(r.nbytes for r in saved_residuals(squared(f), jnp.ones(8)))
    assert count(pb.checkpoint(f)) * 8 < count(f)


def test_barriers_run_wherever_the_compiler_puts_them() -> None:
    hold = pb.lax.optimization_barrier
    for f in (
        lambda x: pb.lax.fori_loop(0, 5, lambda i, c: hold(c + x), x),
        lambda x: pb.lax.cond(x.sum() > 0, lambda x: hold(x + 1), lambda x: hold(x), x),
        lambda x: pb.lax.map(lambda r: pb.lax.fori_loop(0, 3, lambda i, c: hold(jnp.sin(c)), r), x),
        lambda x: hold((hold(x).at[1].set(7.0), x))[0] + x,
    ):
        np.testing.assert_allclose(pb.jit(f)(ROWS), f(ROWS), rtol=1e-6)


def test_backward_loops_have_no_barrier() -> None:
    text = pb.jit(pb.grad(looped(pb.checkpoint(step)))).lower(ROWS).as_text()
    assert "optimization_barrier" not in text and text.count("dot_general") == 3


# ---- saved_residuals --------------------------------------------------------------------------------------------


def line_of(function: Any) -> str:
    return f"{__file__}:{function.__code__.co_firstlineno + 1} ({function.__name__})"


def test_saved_residuals_names_what_is_stored(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x, weights, n):
        return jnp.sin(checkpoint_name(x["data"] @ weights, "product")).sum() * n

    args = ({"data": ROWS}, WEIGHTS, 2)
    found = {r.source: r for r in saved_residuals(f, *args)}
    assert found["from the argument x['data']"].nbytes == 24
    assert found["from the argument weights"].nbytes == 36
    assert found[f"output of cos from {line_of(f)}"].aval.shape == (2, 3)
    named = pb.checkpoint(f, policy=policies.save_only_these_names("product"), static_argnums=2)
    assert f"named 'product' from {line_of(f)}" in [
        r.source for r in saved_residuals(lambda x, w: named(x, w, 2), *args[:2])
    ]
    assert any(r.source == "from a constant" for r in saved_residuals(lambda x: x @ WEIGHTS, ROWS))
    struct = pb.ShapeDtypeStruct((3,), jnp.float32)
    assert [str(r) for r in saved_residuals(pb.checkpoint(jnp.sin), struct)] == [
        "f32[3] from the argument x (12 bytes)"
    ]
    assert [r.source for r in saved_residuals(lambda x, scale: x * scale, 2.0, scale=3.0)] == [
        "from the argument scale", "from the argument x"
    ]  # fmt: skip
    print_saved_residuals(pb.checkpoint(jnp.sin), struct)
    assert capsys.readouterr().out == "f32[3] from the argument x (12 bytes)\n12 bytes in 1 arrays\n"


def test_saved_residuals_name_the_lines_of_inner_functions() -> None:
    def inner(x):
        return jnp.sin(x)

    (found,) = saved_residuals(pb.jit(lambda x: pb.jit(inner)(x)), ROWS)
    assert found.source == f"output of cos from {line_of(inner)}"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pb.checkpoint(3), TypeError, "takes a function"),
        (lambda: pb.checkpoint(lambda x: x, static_argnums=3)(1.0), ValueError, r"static_argnums \(3,\)"),
        (lambda: pb.checkpoint(jnp.sin, concrete=True), NotImplementedError, "static_argnums"),
        (lambda: checkpoint_name(1.0, 3), TypeError, "takes a string"),
        (lambda: saved_residuals(3, 1.0), TypeError, "takes a function"),
        (lambda: saved_residuals(lambda x: x, "text"), TypeError, "text"),
    ],
)
def test_bad_input(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    "policy", [None, pb.checkpoint_policies.everything_saveable, pb.checkpoint_policies.dots_saveable]
)
@pytest.mark.parametrize("outer", [lambda f: f, pb.jit])
def test_linear_maps_of_checkpoints_are_transposed(policy, outer):
    def f(x, y):
        return pb.checkpoint(lambda x: jnp.sin(x) * x @ x * y, policy=policy)(x)

    x = jnp.array([0.5, 1.0])

    def transposed(x):
        return pb.linear_transpose(pb.linearize(lambda x: f(x, 2.0), x)[1], x)(1.0)[0]

    def twice(x):
        return pb.linear_transpose(lambda t: pb.linearize(pb.jit(pb.checkpoint(lambda x: f(x, 2.0))), x)[1](t), x)(1.0)[
            0
        ]

    want = pb.grad(lambda x: f(x, 2.0))(x)
    for g in (transposed, twice):
        np.testing.assert_allclose(outer(g)(x), want, rtol=1e-6)


@pytest.mark.parametrize("outer", [lambda f: f, pb.jit])
def test_barriers_are_transposed(outer):
    both = lambda t: pb.lax.optimization_barrier((t, jnp.float32(3)))
    assert float(outer(lambda ct: pb.linear_transpose(lambda t: both(t)[0] * both(t)[1], 1.0)(ct)[0])(2.0)) == 6


SEVERAL = {
    "sort": lambda x: lax.sort((jnp.sin(x), x * x), num_keys=1)[1] @ x,
    "top_k": lambda x: lax.top_k(jnp.sin(x), 2)[0].sum() * x[0],
    "cond": lambda x: lax.cond(x[0] > 0, lambda x: (jnp.sin(x) @ x, x), lambda x: (x @ x, x * 2), x)[0] * x[1],
    "scan": lambda x: lax.scan(lambda c, v: (jnp.sin(c) * v, (c * v, jnp.cos(c))), x, x)[1][1].sum(),
    "eigh": lambda x: jnp.linalg.eigh(jnp.outer(x, x) + jnp.diag(jnp.arange(3.0)))[0] @ x,
    "qr": lambda x: (jnp.linalg.qr(jnp.outer(x, x) + jnp.eye(3))[0] ** 2)[0] @ x,
}


@pytest.mark.parametrize("policy", ["everything", "several results", "integers"])
@pytest.mark.parametrize("name", SEVERAL)
def test_stored_results_of_operations_that_have_several(name: str, policy: str) -> None:
    f, x = SEVERAL[name], jnp.array([0.3, 0.5, 0.7])
    chosen = {
        "everything": policies.save_anything_except_these_names("nothing"),
        "several results": lambda primitive, *_, **__: primitive.multiple_results,
        "integers": lambda primitive, *_, **__: primitive.name in ("gt", "convert_element_type", "argmax", "argsort"),
    }
    c = pb.checkpoint(f, policy=chosen[policy])
    want, curved = pb.grad(f)(x), pb.jacfwd(pb.grad(f))(x)
    for g in (pb.grad(c), pb.jit(pb.grad(c)), pb.grad(pb.checkpoint(c))):
        np.testing.assert_allclose(g(x), want, rtol=1e-3, atol=1e-4)
    batch = jnp.stack([x, x])
    np.testing.assert_allclose(pb.vmap(pb.grad(c))(batch), [want, want], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(pb.jit(pb.vmap(pb.vmap(pb.grad(c))))(batch[None]), [[want, want]], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(pb.jacfwd(pb.grad(c))(x), curved, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(pb.jacrev(pb.grad(c))(x), curved, rtol=2e-3, atol=1e-3)
