"""What is made of a function goes with it: functions are made anew over large arrays, by everything that takes functions, and must die."""

import functools
import gc
import os
import warnings
import weakref

import numpy as np
import pytest
from jaxlib._jax import collect_garbage

import pullback as pb
import pullback.experimental.checkify as checkify
import pullback.numpy as jnp
from pullback import implicit, lax
from pullback.control.ode import odeint
from pullback.core import kept
from pullback.scipy import optimize
from pullback.scipy.sparse import linalg as sparse

XS = jnp.arange(1.0, 4.0)


@pb.jit
def jitted(x):
    return x * 2


@pb.custom_vjp
def doubled(x):
    return 2 * x


doubled.defvjp(lambda x: (2 * x, None), lambda _, ct: (2 * ct,))
apply = functools.partial(pb.jit, static_argnums=0)(lambda f, x: f(x))


def with_jvp(c):
    @pb.custom_jvp
    def f(x):
        return x * c.sum()

    @f.defjvp
    def rule(primals, tangents):
        return f(*primals), tangents[0] * c.sum()

    return f


def with_vjp(c):
    @pb.custom_vjp
    def f(x):
        return x * c.sum()

    f.defvjp(lambda x: (f(x), x), lambda x, ct: (ct * c.sum(),))
    return f


def with_static(c):
    @functools.partial(pb.custom_jvp, nondiff_argnums=(0,))
    def f(g, x):
        return g(x) * c.sum()

    f.defjvp(lambda g, primals, tangents: (f(g, *primals), tangents[0] * c.sum()))
    return lambda x: f(lambda y: y + c[0], x)


def with_static_vjp(c):
    @functools.partial(pb.custom_vjp, nondiff_argnums=(0,))
    def f(g, x):
        return g(x) * c.sum()

    f.defvjp(lambda g, x: (f(g, x), None), lambda g, _, ct: (ct * c.sum(),))
    return lambda x: f(lambda y: y + c[0], x)


def with_gradient(c):
    @pb.custom_gradient
    def f(x):
        return x * c.sum(), lambda ct: ct * c.sum()

    return f


def with_defjvps(c):
    f = pb.custom_jvp(lambda x: x * c.sum())
    f.defjvps(lambda t, out, x: t * c.sum())
    return f


class Model:
    """A callable object of a user's, with a method, which refer to themselves in a rule."""

    def __init__(self, c):
        self.c = c

    def method(self, x):
        return x * self.c.sum()

    def __call__(self, x):
        return self.method(x)


class Ruled(Model):
    def method(self, x):
        f = pb.custom_jvp(lambda x: x * self.c.sum())
        f.defjvp(lambda p, t: (f(*p), t[0] * self.c.sum()))
        return f(x)


#: Functions that close over an array.
FUNCTIONS = {
    "closure": lambda c: lambda x: x * c.sum(),
    "array": lambda c: lambda x: (x * c).sum() * 1e-4,
    "jitted": lambda c: pb.jit(lambda x: x * c.sum()),
    "calls jitted": lambda c: lambda x: jitted(x) * c.sum(),
    "calls rule": lambda c: lambda x: doubled(x) * c.sum(),
    "custom_jvp": with_jvp,
    "custom_vjp": with_vjp,
    "nondiff jvp": with_static,
    "nondiff vjp": with_static_vjp,
    "custom_gradient": with_gradient,
    "defjvps": with_defjvps,
    "uses custom_jvp": lambda c: (lambda f: lambda x: f(x) + 1)(with_jvp(c)),
    "uses custom_vjp": lambda c: (lambda f: lambda x: f(x) + 1)(with_vjp(c)),
    "checkpoint": lambda c: pb.checkpoint(lambda x: jnp.sin(x) * c.sum()),
    "checkpoint of rule": lambda c: pb.checkpoint(with_jvp(c)),
    "checkpoint with policy": lambda c: pb.checkpoint(
        lambda x: jnp.sin(x) * c.sum(), policy=pb.checkpoint_policies.save_only_these_names("a")
    ),
    "vmapped": lambda c: lambda x: pb.vmap(lambda y: y * c.sum())(x[None])[0],
    "scan": lambda c: lambda x: lax.scan(lambda y, _: (y * c[0], None), x, length=2)[0],
    "linear_call": lambda c: (
        lambda x: (
            lax.linear_call(lambda r, y: y * c.sum(), lambda r, y: y * c.sum(), (), x)
            if hasattr(lax, "linear_call")
            else x * c.sum()
        )
    ),
    "partial": lambda c: functools.partial(lambda c, x: x * c.sum(), c),
    "method": lambda c: Model(c).method,
    "object": Model,
    "method with rule": lambda c: Ruled(c).method,
    "named": lambda c: pb.named_call(lambda x: x * c.sum()),
    "callback": lambda c: lambda x: pb.pure_callback(lambda y: np.float32(y * c[0]), x, x),
}
X = jnp.float32(2.0)
#: What is done with such a function.
USES = {
    "call": lambda f: f(X),
    "grad": lambda f: pb.grad(f)(X),
    "jit": lambda f: pb.jit(f)(X),
    "jit again": lambda f: [pb.jit(f)(X) for _ in range(2)],
    "jit grad": lambda f: pb.jit(pb.grad(f))(X),
    "grad jit": lambda f: pb.grad(pb.jit(f))(X),
    "jit vmap": lambda f: pb.jit(pb.vmap(f))(XS),
    "vmap jit": lambda f: pb.vmap(pb.jit(f))(XS),
    "vmap grad": lambda f: pb.vmap(pb.grad(f))(XS),
    "static": lambda f: apply(f, X),
    "scan": lambda f: lax.scan(lambda y, _: (f(y), None), X, length=3),
    "scan of it": lambda f: lax.scan(lambda y, x: (f(y), x), X, XS),
    "grad scan": lambda f: pb.grad(lambda x: lax.scan(lambda y, _: (f(y), None), x, length=3)[0])(X),
    "jit scan": lambda f: pb.jit(lambda x: lax.scan(lambda y, _: (f(y), None), x, length=3)[0])(X),
    "fori_loop": lambda f: lax.fori_loop(0, 3, lambda i, y: f(y), X),
    "while_loop": lambda f: lax.while_loop(lambda y: y < 5, f, X),
    "map": lambda f: lax.map(f, XS),
    "cond": lambda f: lax.cond(X > 1, f, jnp.sin, X),
    "jit cond": lambda f: pb.jit(lambda x: lax.cond(x > 1, f, jnp.sin, x))(X),
    "linearize": lambda f: pb.linearize(f, X)[1](X),
    "vjp": lambda f: pb.vjp(f, X)[1](X),
    "make_jaxpr": lambda f: pb.make_jaxpr(f)(X),
    "lower": lambda f: pb.jit(f).lower(X).compile()(X),
    "eval_shape": lambda f: pb.eval_shape(f, X),
    "checkify": lambda f: pb.jit(checkify.checkify(f))(X),
}
WITHOUT_DERIVATIVE = {"callback"}
#: Objects of users as static arguments are compared by value, and kept with the jitted function.
BY_VALUE = {"method", "object", "method with rule"}


def dies(make, use, times):
    """What is alive, of functions and arrays, after functions have been made and used."""
    watched = []
    for i in range(times + 1):
        c = jnp.ones(10_000) * 1
        f = make(c)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            use(f)
        if i:  # what is met for the first time, like a policy that lives on, may keep the first
            watched += [weakref.ref(c), weakref.ref(f)]
        del c, f
    for _ in range(2):
        gc.collect()
        collect_garbage()  # jaxlib lets go of callbacks later
    return [r() for r in watched if r() is not None]


@pytest.mark.parametrize("use", USES)
def test_functions_die_with_what_they_close_over(use):
    alive = {}
    # Each use with a fifth of the functions, or with all of them.
    step = 1 if os.environ.get("PULLBACK_TEST_SAMPLE") == "full" else 5
    for name, make in list(FUNCTIONS.items())[list(USES).index(use) % step :: step]:
        if name in WITHOUT_DERIVATIVE and ("grad" in use or use in ("vjp", "linearize", "vmap jit")):
            continue
        if name in BY_VALUE and use == "static":
            continue
        found = dies(make, USES[use], 2)
        if found:
            alive[name] = [type(x).__name__ for x in found]
    assert not alive


def never(y):
    return y < 3


#: Everything else that takes functions.
OTHERS = {
    "while with a global condition": lambda c: lax.while_loop(never, lambda y: doubled(y) * c[0] + 1, X),
    "while with a local condition": lambda c: lax.while_loop(lambda y: y < c.sum(), jitted, X),
    "grad while": lambda c: pb.grad(lambda x: lax.while_loop(lambda y: y < 3, with_jvp(c), x))(X),
    "checkpointed scan": lambda c: pb.grad(
        lambda x: lax.scan(lambda y, _: (with_jvp(c)(y) * 1e-4, None), x, length=4, checkpoints=2)[0]
    )(X),
    "switch": lambda c: lax.switch(1, [jnp.sin, lambda x: x * c.sum(), with_vjp(c)], X),
    "associative_scan": lambda c: lax.associative_scan(lambda a, b: a + b * c[0], XS),
    "reduce": lambda c: lax.reduce(XS, X, lambda a, b: a + b * c[0], (0,)),
    "odeint": lambda c: pb.grad(lambda x: odeint(lambda y, t: -y * c[0], x, XS)[-1])(X),
    "fixed_point": lambda c: pb.grad(lambda x: implicit.fixed_point(lambda y, a: jnp.cos(y) * c[0] * a, 0.1, x))(0.5),
    "root": lambda c: pb.grad(lambda x: implicit.root(lambda y, a: y**3 * c[0] - a, 1.0, x))(X),
    "custom_root": lambda c: lax.custom_root(
        lambda y: y * c[0] - 1, 0.0, lambda f, y0: y0 + 1, lambda g, y: y / g(1.0)
    ),
    "custom_linear_solve": lambda c: pb.grad(
        lambda b: lax.custom_linear_solve(
            lambda y: y * c[0] * 2, b, lambda m, b: b / 2 * c[0], lambda m, b: b / 2 * c[0]
        )
    )(X),
    "cg": lambda c: pb.jit(lambda b: sparse.cg(lambda y: y * c[0] * 2, b)[0])(XS),
    "gmres": lambda c: sparse.gmres(lambda y: y * c[0] * 2, XS)[0],
    "minimize": lambda c: optimize.minimize(lambda y: ((y - 1) ** 2 * c[0]).sum(), XS, method="BFGS").x,
    "vectorize": lambda c: jnp.vectorize(lambda x: x * c[0])(XS),
    "piecewise": lambda c: jnp.piecewise(XS, [XS > 2], [lambda x: x * c[0], 0.0]),
    "closure_convert": lambda c: pb.closure_convert(lambda x: x * c[0], X)[0](X),
    "hessian": lambda c: pb.jit(pb.hessian(lambda x: (x**2 * c[0]).sum()))(XS),
    "io_callback": lambda c: pb.jit(lambda x: pb.experimental.io_callback(lambda y: np.float32(y * c[0]), x, x))(X),
    "debug": lambda c: pb.jit(lambda x: (pb.debug.callback(lambda y: c.sum(), x), x)[1])(X),
    "export": lambda c: pb.export.export(pb.jit(lambda x: x * c))(X).call(X),
    "deserialize": lambda c: pb.export.deserialize(pb.export.export(pb.jit(lambda x: x * c))(X).serialize()).call(X),
    "jit in a loop's body": lambda c: lax.scan(lambda y, _: (pb.jit(with_vjp(c))(y), None), X, length=2),
    "jit of jit": lambda c: pb.jit(pb.jit(lambda x: x * c[0]))(X),
    "static closure": lambda c: apply(lambda x: doubled(x) * c[0], X),
    "constant": lambda c: pb.jit(lambda: c * 2)(),
    "conditional in a loop": lambda c: lax.fori_loop(
        0, 2, lambda i, y: lax.cond(i > 0, with_jvp(c), lambda z: z * c[0], y), X
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_they_close_over_dies(name):
    def watch(f):
        f()

    alive = dies(lambda c: lambda: OTHERS[name](c), watch, 30 if name in ("deserialize", "static closure") else 2)
    assert not alive


def test_attributes_that_are_passed_on_belong_to_nobody():
    import copy
    import pickle

    def f(x):
        return x + 1

    assert float(pb.jit(f)(1.0)) == 2

    @functools.wraps(f)
    def g(x):
        return x + 2

    assert float(pb.jit(g)(1.0)) == 3
    assert [float(y) for y in lax.map(g, XS)] == [3, 4, 5]
    assert [float(y) for y in lax.map(f, XS)] == [2, 3, 4]
    h = functools.partial(jnp.add, 1.0)
    assert float(pb.jit(h)(1.0)) == 2
    assert float(pb.jit(pickle.loads(pickle.dumps(h)))(1.0)) == 2
    other = copy.copy(h)
    assert float(pb.jit(other)(1.0)) == 2


def test_what_is_kept_is_found_again():
    traced = []
    f = lambda x: (traced.append(1), x * 2)[1]
    for _ in range(3):
        pb.jit(f)(1.0)
    assert len(traced) == 1
    model = Model(jnp.ones(3))
    model.method = lambda x: (traced.append(1), x)[1]
    for _ in range(3):
        pb.jit(model)(1.0)
    assert len(traced) == 2
    assert "__pullback_kept__" not in vars(model)
    g = lambda h, x: (traced.append(1), h(x))[1]
    h, static = lambda x: x + len(traced), pb.jit(g, static_argnums=0)
    for _ in range(3):
        static(h, 1.0)
    assert len(traced) == 3
    pb.clear_caches()
    static(h, 1.0)
    pb.jit(f)(1.0)
    assert len(traced) == 5


def test_what_is_kept_for_objects_of_users_is_bounded(monkeypatch):
    monkeypatch.setattr(kept, "_FEW", 3)
    for _ in range(6):
        pb.jit(Ruled(jnp.ones(3)))(1.0)
    assert len(kept._others) == 3
