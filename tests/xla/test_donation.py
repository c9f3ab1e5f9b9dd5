"""Whose memory it is: donated arguments, views that NumPy has of Arrays, and NumPy arrays that are written to after they were passed."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp

#: Numbers of float32 elements: small ones are copied, large ones (above 64 KiB) shared and held once, where they are aligned.
SIZES = [10, 1000, 20_000, 1 << 20]
sized = pytest.mark.parametrize("n", SIZES)

increment = pb.jit(lambda x: x + 1, donate_argnums=0)
#: Where a donated argument can come from: a compiled program, NumPy's memory, an eager operation.
ORIGINS = {
    "compiled": lambda n: pb.jit(lambda: jnp.arange(n, dtype="float32"))(),
    "NumPy": lambda n: jnp.asarray(np.arange(n, dtype=np.float32)),
    "eager": lambda n: jnp.arange(n, dtype="float32") * 1.0,
    "handed over": lambda n: (lambda x: (pb.jit(lambda x: x * 2)(x), x)[1])(jnp.arange(n, dtype="float32")),
}
from_everywhere = pytest.mark.parametrize("origin", ORIGINS)


def address(x) -> int:
    """Where an Array's device memory is."""
    return x._buffer.unsafe_buffer_pointer()


def address_of(x: np.ndarray) -> int:
    return x.__array_interface__["data"][0]


# ---- donation is honoured -------------------------------------------------------------------------------------------


@sized
def test_the_memory_is_used_again(n):
    x = ORIGINS["compiled"](n)
    where = address(x)
    for _ in range(4):  # a training step's parameters stay where they are
        x = increment(x)
        assert address(x) == where
    assert np.array_equal(np.asarray(x), np.arange(n, dtype=np.float32) + 4)


@sized
@from_everywhere
def test_what_was_donated_is_gone(origin, n):
    x = ORIGINS[origin](n)
    y = increment(x)
    assert x.is_deleted()
    assert np.array_equal(np.asarray(y), np.arange(n, dtype=np.float32) + 1)
    message = rf"deleted.*float32\[{n}\].*donated.*test_donation\.py"
    for use in (lambda: increment(x), lambda: pb.jit(jnp.sin)(x), lambda: x + 1, lambda: np.asarray(x), lambda: x[0]):
        with pytest.raises(RuntimeError, match=message):
            use()
    with pytest.raises(RuntimeError, match=message):
        pb.grad(lambda x: jnp.sum(pb.jit(jnp.sin)(x)))(x)
    x.delete()  # once more is no error


def test_only_the_arguments_that_were_named():
    f = pb.jit(lambda a, b, c: (a["u"] + b, a["v"] * c, b - c), donate_argnames=("a", "c"))
    a = {"u": jnp.ones(1000), "v": jnp.ones(1000)}
    b, c = jnp.ones(1000), jnp.ones(1000)
    outs = f(a, b, c=c)
    assert [float(o[0]) for o in outs] == [2.0, 1.0, 0.0]
    assert [x.is_deleted() for x in (a["u"], a["v"], b, c)] == [True, True, False, True]


def test_several_results_share_the_donated_memory_out():
    f = pb.jit(lambda x, y: (x + y, x * y), donate_argnums=(0, 1))
    x, y = pb.jit(lambda: (jnp.full(1000, 3.0), jnp.full(1000, 4.0)))()
    donated = {address(x), address(y)}
    outs = f(x, y)
    assert {address(o) for o in outs} == donated
    assert np.all(np.asarray(outs[0]) == 7) and np.all(np.asarray(outs[1]) == 12)


def test_an_argument_that_is_not_used_stays():
    f = pb.jit(lambda x, y: y * 2, donate_argnums=0)
    x = jnp.ones(5)
    f(x, 1.0)
    assert not x.is_deleted()


def test_transformed_calls_do_not_donate():
    """Their operands are not the user's to give: a derivative or an enclosing program may need them again."""
    for use in (pb.grad(lambda x: jnp.sum(increment(x))), pb.vmap(increment), pb.jit(lambda x: increment(x) + x)):
        x = jnp.ones(4)
        use(x)
        assert not x.is_deleted() and np.all(np.asarray(x) == 1)


# ---- donation goes wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("donated", [0, (0, 1)])
def test_the_same_array_twice_is_refused_and_stays(donated):
    f = pb.jit(lambda x, y: (x + y, x * y), donate_argnums=donated)
    for x in (ORIGINS["compiled"](1000), jnp.ones(1000)):
        before = np.array(x)
        with pytest.raises(pb.errors.JaxRuntimeError, match="donate"):
            f(x, x)
        assert not x.is_deleted() and np.array_equal(np.asarray(x), before)
        assert f(x, x + 0)[0].shape == (1000,)


@pytest.mark.parametrize("value", [2.0, 3, True, 1j, np.float32(2)])
def test_python_scalars_can_be_donated_again_and_again(value):
    plain = pb.jit(lambda x: x * 2)
    expected = value + 1
    for _ in range(4):
        assert increment(value) == expected
        assert plain(value) == value * 2
    both = pb.jit(lambda x, y: x * y, donate_argnums=0)
    for _ in range(3):
        assert both(value, value) == value * value


def test_arrays_that_the_package_keeps_are_not_given_away():
    """Gradients, constants and keys that come from the package can be donated or deleted, and come again."""
    for make in (
        lambda: pb.grad(lambda x: x)(2.0),
        lambda: pb.grad(lambda x: jnp.sum(x))(jnp.ones(3)),
        lambda: pb.vjp(lambda x: x, 2.0)[1](1.0)[0],
        lambda: pb.jit(lambda: jnp.float32(1))(),
        lambda: jnp.zeros(()),
        lambda: pb.random.key_data(pb.random.key(0)).astype("float32"),
    ):
        expected = np.array(make())
        for _ in range(3):
            assert np.array_equal(np.asarray(increment(make())), expected + 1)
            make().delete()
    assert pb.grad(lambda x: 3 * x)(2.0) == 3.0


def test_constants_of_programs_outlive_donated_results():
    w = jnp.arange(1000.0)
    f = pb.jit(lambda x: (x + w, w))
    for _ in range(2):
        for out in f(jnp.ones(1000)):
            increment(out)
    assert np.array_equal(np.asarray(f(jnp.zeros(1000))[0]), np.arange(1000.0))
    assert np.array_equal(np.asarray(w), np.arange(1000.0))


# ---- what others see ------------------------------------------------------------------------------------------------


@sized
@from_everywhere
def test_views_that_are_out_never_change(origin, n):
    """NumPy's views and eager results that share the memory keep their contents when it is donated."""
    x = ORIGINS[origin](n)
    views = [
        np.asarray(x),
        np.asarray(x).reshape(2, -1),
        np.asarray(x)[1:],
        memoryview(np.asarray(x)),
        np.from_dlpack(x),
    ]
    views += [np.asarray(v) for v in (x.reshape(2, -1), x[1:], x[::-1], x.T, jnp.expand_dims(x, 0), copy.copy(x))]
    before = [np.array(v) for v in views]
    y = increment(x).block_until_ready()
    for _ in range(3):
        y = increment(y).block_until_ready()
    trash = [pb.jit(lambda i: jnp.full(n, i))(7.0 + i) for i in range(4)]  # what was freed is used again
    for v, expected in zip(views, before):
        assert np.array_equal(np.asarray(v), expected)
    assert x.is_deleted() and y[0] == 4.0 and len(trash) == 4


@sized
@from_everywhere
def test_arrays_that_share_the_memory_stay(origin, n):
    x = ORIGINS[origin](n)
    expected = np.arange(n, dtype=np.float32)
    others = [x.reshape(2, -1), x[::-1][::-1], copy.copy(x), copy.deepcopy(x), jnp.array(x), jnp.copy(x), x.copy()]
    handed = [pb.jit(lambda x: x)(x), *pb.jit(lambda x: (x, x))(x), pb.device_put(x.reshape(2, -1))]
    increment(x).block_until_ready()
    for other in others + handed:
        assert np.array_equal(np.ravel(np.asarray(other)), expected)
        increment(other).block_until_ready()
        with pytest.raises(RuntimeError, match="deleted"):
            np.asarray(other)


@sized
def test_views_outlive_their_array(n):
    view = np.asarray(pb.jit(lambda: jnp.arange(n, dtype="float32"))())
    trash = [pb.jit(lambda i: jnp.full(n, i))(7.0 + i) for i in range(4)]
    assert np.array_equal(view, np.arange(n)) and len(trash) == 4


@sized
@from_everywhere
def test_what_numpy_gets_is_read_only(origin, n):
    x = ORIGINS[origin](n)
    for view in (np.asarray(x), np.asarray(x)[1:], x.__array__(), pb.device_get(x), np.asarray(increment(x + 0))):
        assert not view.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 3
        if view.base is not None and isinstance(view.base, np.ndarray) and not view.base.flags.writeable:
            with pytest.raises(ValueError, match="WRITEABLE"):
                view.flags.writeable = True
    for owned in (np.array(x), x.__array__(copy=True), np.asarray(x, np.float64), np.from_dlpack(x)):
        if owned.flags.writeable:
            owned[0] = 3
    assert x[0] == 0


# ---- what the caller writes -----------------------------------------------------------------------------------------


def aligned(n: int, alignment: int = 64) -> np.ndarray:
    """n float32 numbers at an address that XLA could share."""
    memory = np.zeros(4 * n + alignment, np.uint8)
    start = -address_of(memory) % alignment
    out = memory[start : start + 4 * n].view(np.float32)
    assert address_of(out) % alignment == 0
    out[:] = np.arange(n)
    return out


LAYOUTS = {
    "aligned": lambda n: aligned(n),
    "misaligned": lambda n: aligned(n + 1)[1:],
    "every other": lambda n: aligned(2 * n)[::2],
    "reversed": lambda n: aligned(n)[::-1],
    "Fortran order": lambda n: np.asfortranarray(aligned(n).reshape(2, -1)),
    "transposed": lambda n: aligned(n).reshape(2, -1).T,
    "a column": lambda n: aligned(2 * n).reshape(-1, 2)[:, 1],
    "float64": lambda n: np.arange(n, dtype=np.float64),
    "big-endian": lambda n: np.arange(n).astype(">f4"),
    "int32": lambda n: np.arange(n, dtype=np.int32),
    "a broadcast": lambda n: np.lib.stride_tricks.as_strided(aligned(4), (n,), (0,), writeable=True),
    "a subclass": lambda n: aligned(n).view(np.ma.MaskedArray).view(type("Mine", (np.ndarray,), {})),
}
CONSUMERS = {
    "asarray": lambda x: jnp.asarray(x),
    "array": lambda x: jnp.array(x),
    "device_put": lambda x: pb.device_put(x),
    "jit": lambda x: pb.jit(lambda x: x + 0)(x),
    "identity": lambda x: pb.jit(lambda x: x)(x),
    "twice": lambda x: pb.jit(lambda x, y: (x, y))(x, x)[1],
    "donated": lambda x: pb.jit(lambda x: x * 1, donate_argnums=0)(x),
    "closure": lambda x: pb.jit(lambda: jnp.asarray(x) * 1)(),
    "eager": lambda x: jnp.multiply(x, 1),
    "a view": lambda x: jnp.asarray(x).reshape(-1)[::-1][::-1].reshape(x.shape),
    "then compiled": lambda x: (lambda a: (pb.jit(lambda a: a * 2)(a), a)[1])(jnp.asarray(x)),
    "vjp": lambda x: pb.vjp(lambda a: a * 1.0, jnp.ones(x.shape))[1](np.asarray(x, np.float32) if x.dtype != np.float32 else x)[0],
    "linearize": lambda x: pb.linearize(lambda a: a * 1.0, jnp.ones(x.shape))[1](jnp.asarray(x, "float32")),
}  # fmt: skip


@pytest.mark.parametrize("n", [10, 20_000])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("consumer", CONSUMERS)
def test_writing_into_an_array_that_was_passed_changes_nothing(consumer, layout, n):
    x = LAYOUTS[layout](n)
    expected = np.array(x)
    results = [CONSUMERS[consumer](x) for _ in range(2)]  # traced, and then dispatched
    x[...] = 77  # at once: the computation may still be running
    for result in results:
        assert np.array_equal(np.asarray(result), expected)


def test_programs_do_not_remember_arrays_they_were_traced_with():
    f = pb.jit(lambda x: x * 2)
    x = aligned(20_000)
    for i in range(4):
        x[:] = i
        assert np.all(np.asarray(f(x)) == 2 * i)


def test_arrays_in_trees_too():
    tree = {"a": aligned(20_000), "b": [aligned(10), (aligned(20_000)[::2],)]}
    expected = pb.tree.map(np.array, tree)
    for function in (pb.jit(lambda t: t), lambda t: pb.tree.map(jnp.asarray, t), pb.device_put):
        results = [function(tree), function(tree)]
        for leaf in pb.tree.leaves(tree):
            leaf[...] = -1
        for result in results:
            pb.tree.map(np.testing.assert_array_equal, result, expected)
        for leaf, old in zip(pb.tree.leaves(tree), pb.tree.leaves(expected)):
            leaf[...] = old


@sized
def test_pickles_are_copies(n):
    x = ORIGINS["compiled"](n)
    data = pickle.dumps(x)
    increment(x)
    assert np.array_equal(np.asarray(pickle.loads(data)), np.arange(n, dtype=np.float32))


@pytest.mark.parametrize("n", [10, 1000, 20_000])
def test_calls_in_flight_keep_their_arguments(n):
    """Many calls with new values in one NumPy array, while the computations before are still running."""

    @pb.jit
    def slow(x, w):
        y = w
        for _ in range(4):
            y = jnp.tanh(y @ w)
        return x + 0 * y[0, 0], x

    w, x = jnp.eye(200) * 0.5, np.zeros(n, np.float32)
    slow(x, w)
    results = []
    for i in range(20):
        x[:] = i
        results.append(slow(x, w))
    for i, (a, b) in enumerate(results):
        assert np.all(np.asarray(a) == i) and np.all(np.asarray(b) == i)


@pytest.mark.parametrize("n", [10, 20_000])
def test_what_is_kept_of_arguments_outlives_the_call(n):
    """Results that are arguments, residuals of derivatives, and views, after the memory has been used for other calls."""
    f, identity = pb.jit(lambda x: jnp.sin(x) * x), pb.jit(lambda x: {"same": x, "part": x[1:], "turned": x[::-1]})
    first, second = np.arange(n, dtype=np.float32), np.full(n, 5, np.float32)
    identity(first), f(first)
    same = identity(first)
    views = pb.tree.map(np.asarray, identity(first))
    _, pullback = pb.vjp(f, first)
    _, pushforward = pb.linearize(f, first)
    expected = np.cos(first) * first + np.sin(first)
    for _ in range(5):
        identity(second), f(second), pb.grad(lambda x: jnp.sum(f(x)))(second)
    one = np.ones(n, np.float32)
    assert np.allclose(pullback(one)[0], expected, rtol=1e-4, atol=1e-3)
    assert np.allclose(pushforward(one), expected, rtol=1e-4, atol=1e-3)
    for found in (same, views):
        assert np.array_equal(found["same"], first)
        assert np.array_equal(found["part"], first[1:]) and np.array_equal(found["turned"], first[::-1])


def test_debug_nans_finds_the_operation_although_the_argument_is_donated() -> None:
    f = pb.jit(lambda x: jnp.log(x) + 1, donate_argnums=0)
    with pb.debug_nans(True):
        with pytest.raises(FloatingPointError, match="nan.*in log at"):
            f(jnp.array([-1.0, 1.0]))
        assert float(f(jnp.array(1.0))) == 1


_THREADS = """
import sys, threading, time
import numpy as np
import pullback as pb, pullback.numpy as jnp

sys.setswitchinterval(1e-5)
n, seconds = int(sys.argv[1]), float(sys.argv[2])
give, use = pb.jit(lambda x: x * 0 + 1, donate_argnums=0), pb.jit(lambda x: (x * 2).sum())
both, make = pb.jit(lambda x, y: (x + y, x * y), donate_argnums=(0, 1)), pb.jit(lambda k: jnp.ones(n) * k)
box, wrong, kept = [give(jnp.ones(n))], [], []


def donor():
    box[0] = give(box[0])


def donor_of_two():
    box[0] = both(box[0], make(1.0))[1]


def lender():
    box[0] = give(np.ones(n, np.float32))


def deleter():
    box[0].delete()
    box[0] = make(1.0)


def renewer():
    box[0] = jnp.ones(n) * 1


def compiled():
    float(use(box[0]))


def eager():
    float((box[0] + 1).sum()), repr(box[0])


def viewer():
    view = np.asarray(box[0])
    if view.dtype != np.float32 or view.shape != (n,) or not (view == 1).all():
        wrong.append(view)
    kept.append(view)
    if len(kept) > 20:
        wrong.extend(v for v in kept if not (v == 1).all())
        kept.clear()


def asker():
    box[0].is_ready(), box[0].is_deleted(), pb.block_until_ready(box[0]), np.from_dlpack(box[0])


def again_and_again(step):
    while time.time() < end:
        try:
            step()
        except RuntimeError:  # of JAX's kind: deleted, donated
            pass
        except Exception as error:
            wrong.append(error)


end = time.time() + seconds
steps = (donor, donor, donor_of_two, lender, deleter, renewer, compiled, eager, viewer, viewer, asker)
threads = [threading.Thread(target=again_and_again, args=(s,)) for s in steps]
[t.start() for t in threads], [t.join() for t in threads]
assert not wrong, wrong[:3]
"""


@pytest.mark.parametrize("n", [100, 20_000])
def test_threads_that_donate_delete_and_read_get_errors_at_worst(n):
    """Never an end of the process, never the elements of something else."""
    run = subprocess.run(
        [sys.executable, "-c", _THREADS, str(n), "2"], check=False, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, f"{run.returncode}: {run.stderr[-500:]}"
