"""NumPy code as it is: what every public function and ufunc of NumPy's, and every ufunc of SciPy's, does with traced values."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path

import numpy as np
import pytest
import scipy.special

import pullback as pb
import pullback.numpy as jnp
from pullback.core.trace import Tracer
from pullback.errors import TracerArrayConversionError
from pullback.numpy import dispatch

MODULES = {"": np, "linalg.": np.linalg, "fft.": np.fft}


def dispatched(module):
    """The public functions of a module that ask their arguments' classes."""
    return {
        name: f
        for name in dir(module)
        if not name.startswith("_") and hasattr(f := getattr(module, name), "_implementation")
    }


# ---- the tables ----------------------------------------------------------------------------------

_REAL = np.array([[0.3, 0.7, 0.45], [0.6, 0.2, 0.9], [0.5, 0.1, 0.8]])
_WHOLE = np.array([[3, 1, 2], [2, 4, 1], [1, 1, 5]])


def test_every_ufunc_of_numpy_is_ours_or_says_why_not():
    """Called by NumPy's name on a traced value, a ufunc gives what NumPy gives on the value."""
    wrong = []
    ufuncs = {f.__name__: f for f in vars(np).values() if isinstance(f, np.ufunc)}
    programs, values = [], []
    for name, ufunc in ufuncs.items():
        if name in dispatch.REFUSED:
            with pytest.raises(TypeError, match=name):
                pb.vmap(ufunc)(jnp.ones(3))
            continue
        for x in (_REAL, _WHOLE):
            operands = [x + (i if x is _WHOLE else 0.1 * i) for i in range(ufunc.nin)]
            if ufunc.signature:
                operands = {"matmul": [x, x], "vecdot": [x, x], "matvec": [x, x[0]], "vecmat": [x[0], x]}[name]
            if name == "reciprocal" and x is _WHOLE:
                continue  # NumPy truncates reciprocals of integers to 0; ours are floats, as in pullback.numpy
            if name == "ldexp":
                operands[1] = _WHOLE
            if name in ("acosh", "arccosh"):
                operands = [o + 1.0 for o in operands]
            with np.errstate(all="ignore"):
                try:
                    expected = ufunc(*operands)
                except TypeError:
                    continue  # NumPy does not take these either
            programs.append((name, ufunc, operands))
            values.append(expected)

    def all_of_them(operands):
        return [ufunc(*o) for (_, ufunc, _), o in zip(programs, operands)]

    with pb.enable_x64(True):
        found = pb.jit(all_of_them)([[jnp.asarray(o) for o in operands] for _, _, operands in programs])
        inside = pb.vmap(lambda _: all_of_them([[jnp.asarray(o) for o in operands] for _, _, operands in programs]))(
            jnp.ones(1)
        )
    for (name, _, _), ours, known, theirs in zip(programs, found, inside, values):
        for a, k, b in zip(*(x if isinstance(x, (list, tuple)) else [x] for x in (ours, known, theirs))):
            if not (np.allclose(a, b, rtol=1e-12, equal_nan=True) and np.allclose(k[0], b, rtol=1e-12, equal_nan=True)):
                wrong.append((name, a, b))
    assert not wrong
    assert len(programs) > 130


def test_every_ufunc_of_scipy_is_ours_or_a_clear_error():
    """Dispatched by its name, whatever counterparts there are; the others are named in the error."""
    ufuncs = {name: f for name in dir(scipy.special) if isinstance(f := getattr(scipy.special, name), np.ufunc)}
    from pullback.scipy import special

    seen = []
    for name, ufunc in ufuncs.items():
        ours = dispatch.counterpart(ufunc)
        if ours is None:
            with pytest.raises(
                TypeError, match=r"scipy\.special\.\w+ was called on a traced value, and has no counterpart"
            ):
                pb.vmap(lambda x, ufunc=ufunc: ufunc(*[x] * ufunc.nin))(jnp.ones(2))
        else:
            assert ours in [getattr(special, n, None) for n in dispatch._special_names(ufunc)]
            seen.append(name)
    assert {"gammaln", "erf", "expit", "xlogy"} <= set(seen)


def test_every_function_of_numpy_has_a_counterpart_or_names_what_to_write():
    """Every function that asks has a plan, whose counterpart takes NumPy's arguments by name and by
    position; or it is refused with a reason."""
    for prefix, module in MODULES.items():
        for name, function in dispatched(module).items():
            plan = dispatch._plan(function)
            if plan is None:
                assert function.__name__ in dispatch.REFUSED, prefix + name
                with pytest.raises(TypeError, match=f"{function.__name__} was called on a traced value"):
                    pb.vmap(lambda x, f=function: dispatch.array_function(x, f, (type(x),), (x,), {}))(jnp.ones(2))
                continue
            renamed = dispatch._RENAMED.get(function.__name__, {})
            for parameter in inspect.signature(function).parameters.values():
                if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or plan.positional > 100:
                    continue
                position = plan.theirs.index(parameter.name)
                known = renamed.get(parameter.name, parameter.name) in plan.ours or position < plan.positional
                assert known or parameter.name in {*dispatch._MEANINGLESS, "order", "out", "correction"}, (
                    name,
                    parameter.name,
                )


# fmt: off
#: Functions of a square matrix `x`, in NumPy's words: each runs on a traced value, and gives NumPy's result.
CALLS = """
np.sum(x)|np.sum(x, axis=0, keepdims=True)|np.sum(x, 1, None, None, True)|np.mean(x, 0)|np.std(x, axis=1, ddof=1)|np.prod(x, -1)
np.var(x)|np.max(x, 0)|np.amin(x, axis=1)|np.ptp(x, 0)|np.median(x, axis=0)|np.percentile(x, [20, 50])|np.quantile(x, 0.3, axis=1)
np.average(x, axis=0, weights=[1.0, 2.0, 3.0])|np.cumsum(x, axis=1)|np.cumprod(x, 0)|np.diff(x, axis=0)|np.gradient(x[0])
np.trapezoid(x, dx=0.1)|np.interp([0.15, 0.5], [0.1, 0.4, 0.9], x[0])|np.clip(x, 0.3, 0.6)|np.clip(x, a_min=0.3, a_max=None)
np.where(x > 0.5, x, [0.0, 1.0, 2.0])|np.select([x > 0.5, x > 0.2], [x, -x], 7.0)|np.nan_to_num(x)|np.round(x, 1)|np.sort(x, axis=0)
np.argsort(x, kind='stable')|np.argmax(x, axis=0)|np.searchsorted([0.2, 0.5], x[0])|np.count_nonzero(x > 0.5)|np.any(x > 0.8, axis=1)
np.reshape(x, (9,))|np.reshape(x, -1, order='C')|np.ravel(x)|np.transpose(x)|np.swapaxes(x, 0, 1)|np.moveaxis(x, 0, 1)|np.flip(x, 0)
np.roll(x, 1, axis=1)|np.rot90(x)|np.tile(x, (2, 1))|np.repeat(x, 2, axis=0)|np.pad(x, 1)|np.pad(x, ((0, 1), (1, 0)), mode='edge')
np.concatenate([x, np.ones((1, 3))])|np.concatenate((x, x), axis=1)|np.stack([x, x], axis=-1)|np.vstack([x, x[0]])|np.hstack([x, x])
np.column_stack([x[0], x[1]])|np.block([[x, x], [x, x]])|np.append(x, [1.0])|np.split(x, 3)|np.expand_dims(x, 0)|np.squeeze(x[None])
np.broadcast_to(x, (2, 3, 3))|np.atleast_3d(x)|np.tril(x)|np.triu(x, 1)|np.diag(x)|np.diag(x[0], 1)|np.diagonal(x)|np.trace(x)
np.zeros_like(x)|np.ones_like(x, order='F', subok=False)|np.full_like(x, 2.0)|np.empty_like(x).shape|np.copy(x, order='K')|np.shape(x)
np.dot(x, x)|np.dot([1.0, 2.0, 3.0], x)|np.inner(x, x)|np.outer(x[0], x[1])|np.kron(x, x)|np.tensordot(x, x, axes=1)|np.vdot(x, x)
np.cross(x[0], x[1])|np.einsum('ij,jk->ik', x, x)|np.einsum('ii', x, optimize=True)|np.linalg.solve(x, [1.0, 2.0, 3.0])|np.linalg.inv(x)
np.linalg.det(x)|np.linalg.slogdet(x)[1]|np.linalg.cholesky(x @ x.T)|np.linalg.eigvalsh(x + x.T)|np.linalg.norm(x)|np.linalg.norm(x, axis=1)
np.linalg.svd(x, compute_uv=False)|np.linalg.pinv(x)|np.linalg.lstsq(x, x[0], rcond=None)[0]|np.linalg.matrix_power(x, 3)|np.linalg.cond(x)
np.linalg.multi_dot([x, x, x])|np.linalg.matrix_rank(x)|np.linalg.tensordot(x, x, axes=1)|np.fft.fft(x)|np.fft.irfft(np.fft.rfft(x, axis=0), 3, 0)
np.fft.fftshift(x)|np.abs(np.fft.fft2(x))|np.real(x + 1j)|np.angle(x + 1j)|np.convolve(x[0], [1.0, 2.0])|np.correlate(x[0], x[1], 'full')
np.polyval([1.0, 2.0], x)|np.polyval(x[0], 2.0)|np.cov(x)|np.corrcoef(x)|np.histogram(x, bins=[0.0, 0.5, 1.0])[0]|np.vander(x[0])
np.take(x, [0, 2], axis=1)|np.take_along_axis(x, np.argsort(x, 1), 1)|np.choose([0, 1, 0], x)|np.compress([True, False, True], x, 0)
np.isclose(x, 0.3)|np.allclose(x, x)|np.array_equal(x, x)|np.sinc(x)|np.i0(x)|np.unwrap(x)|np.nansum(x, 0)|np.nanmean(x)|np.fix(3 * x)
np.nanmax(x)|np.meshgrid(x[0], x[1])|np.apply_along_axis(np.sum, 0, x)|np.insert(x, 1, 0.0, axis=0)|np.delete(x, 1, axis=0)|np.isin(x, [0.3])
np.add.reduce(x)|np.add.reduce(x, axis=(0, 1))|np.multiply.reduce(x, axis=1, keepdims=True)|np.maximum.reduce(x, axis=None)
np.minimum.accumulate(x, axis=1)|np.add.accumulate(x)|np.multiply.outer(x[0], [1.0, 2.0])|np.add(x, [1.0, 2.0, 3.0], dtype=np.float64)
np.logical_and.reduce(x > 0.1)|np.arange(3.0) * x|x * np.arange(3.0)|np.eye(3) @ x|np.float64(2.0) * x|np.float64(2.0) - x|np.ones(3) < x
np.add.reduceat(x, [0, 2, 1], axis=1)|np.subtract.reduce(x)|np.power.accumulate(x, axis=1)|np.multiply.reduce(x, where=x > 0.3)
np.hypot.outer(x[0], x)|np.maximum.reduceat(x, [0, 1])|np.divide.reduce(x, axis=1, initial=2.0)|scipy.special.xlogy.outer(x[0], x[1])
np.common_type(x)|np.ndim(x)|np.size(x, 0)|np.result_type(x)|np.iscomplexobj(x)|np.positive(x, casting='same_kind')|np.zeros(3, like=x)
"""
# fmt: on


def test_calls_give_what_numpy_gives():
    """A program of NumPy calls, traced as one, against NumPy; and with known Arrays within a transformation."""
    codes = [code for line in CALLS.strip().splitlines() for code in line.split("|")]

    def program(x):
        return [eval(code, {"np": np, "scipy": scipy, "x": x}) for code in codes]

    def arrays(x):
        return [y if isinstance(y, (list, tuple)) else [y] for y in program(x)]

    expected = arrays(_REAL)
    with pb.enable_x64(True):
        x = jnp.asarray(_REAL)
        known = pb.vmap(lambda _: arrays_of_numbers(arrays(x)))(jnp.ones(1))
        found = pb.jit(lambda x: arrays_of_numbers(arrays(x)))(x)
    for code, theirs, ours, within in zip(codes, arrays_of_numbers(expected), found, known):
        for a, b, c in zip(theirs, ours, within, strict=True):
            np.testing.assert_allclose(np.asarray(b), np.asarray(a), rtol=1e-9, atol=1e-12, err_msg=code)
            np.testing.assert_allclose(np.asarray(c)[0], np.asarray(a), rtol=1e-9, atol=1e-12, err_msg=code)


def arrays_of_numbers(results):
    """The results but those that are dtypes, which are compared by name."""
    return [[float(np.dtype(y).itemsize) if isinstance(y, (np.dtype, type)) else y for y in ys] for ys in results]


# ---- derivatives, and what is no function --------------------------------------------------------


def test_derivatives_of_numpy_code():
    a = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, 0.0], [0.0, 1.0, 4.0]])
    programs = [
        lambda x: np.sum(np.sin(x) ** 2),
        lambda x: np.linalg.solve(a, x).sum(),
        lambda x: np.einsum("i,ij,j", x, a, x),
        lambda x: np.sum(x[x > 0] ** 2),
        lambda x: np.sum(np.where(x > 0, x, x**2)),
        lambda x: scipy.special.gammaln(x + 2).sum(),
        lambda x: (a @ x).prod() + np.add.reduce(np.exp(x)),
    ]
    with pb.enable_x64(True):
        x = np.array([0.3, -0.5, 1.2])
        for f in programs:
            expected = [(f(x + h) - f(x - h)) / 2e-6 for h in 1e-6 * np.eye(3)]
            np.testing.assert_allclose(pb.grad(f)(jnp.asarray(x)), expected, atol=1e-7)
            pb.hessian(f)(jnp.asarray(x))  # at every order


def test_outside_of_transformations_numpy_gives_numpy_arrays():
    x, a = jnp.ones(3), np.ones(3, np.float32)
    for out in (
        np.sin(x),
        np.add(a, x),
        np.fft.fft(x),
        np.linalg.inv(np.outer(x, x) + np.eye(3)),
        np.concatenate([x, a]),
        np.add.outer(x, a),
    ):
        assert type(out) is np.ndarray
    for out in (a + x, x + a, a @ x, a < x, np.float32(2) * x):
        assert isinstance(out, pb.Array)
    a += 0 * np.asarray(x)
    assert type(a) is np.ndarray


def test_known_arrays_within_a_transformation_stay_known():
    sizes = jnp.array([1, 4, 2])

    @pb.jit
    def f(x):
        n = np.max(sizes)  # known while x is traced: it can be a shape
        assert isinstance(n, pb.Array) and not isinstance(n, Tracer)
        buffer = np.zeros(3)
        np.add(buffer, sizes, out=buffer)  # NumPy's memory and known values: NumPy writes
        assert buffer.tolist() == [1, 4, 2]
        return x * np.ones(int(n))

    assert f(2.0).shape == (4,)


def _store(x):
    a = np.zeros(3)
    a[1] = x[0]


def _add_in_place(x):
    a = np.zeros(3)
    a += x


REFUSED = {
    "a NumPy array is written to": (_add_in_place, TypeError, "write `a = a \\+ x`"),
    "out": (lambda x: np.sum(x, out=np.zeros(())), TypeError, "immutable"),
    "out=tracer": (lambda x: np.sin(x, out=x), TypeError, "immutable"),
    "asarray": (np.asarray, TracerArrayConversionError, r"pullback\.numpy\.asarray\(x\)"),
    "array of numbers": (lambda x: np.array([x[0], x[1]]), TracerArrayConversionError, r"np\.stack"),
    "slice": (lambda x: np.zeros(5).__setitem__(slice(3), x), TracerArrayConversionError, r"\.at\[i\]\.set"),
    "at": (lambda x: np.add.at(x, 0, 1.0), TypeError, r"x\.at\[indices\]\.add\(values\)"),
    "maximum.at": (lambda x: np.maximum.at(x, 0, 1.0), TypeError, r"x\.at\[indices\]\.max\(values\)"),
    "where": (lambda x: np.sin(x, where=x > 0), TypeError, r"np\.where\(mask, np\.sin"),
    "put": (lambda x: np.put(x, 0, 1.0), TypeError, r"jnp\.put"),
    "copyto": (lambda x: np.copyto(np.zeros(3), x), TypeError, r"x\.at"),
    "save": (lambda x: np.save("nowhere", x), TypeError, "return it"),
    "item": (lambda x: x.__setitem__(0, 1.0), TypeError, r"x\.at\[idx\]\.set"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_traced_says_what_to_write(name):
    f, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        pb.grad(lambda x: (f(x), x.sum())[1])(jnp.ones(3))


def test_a_number_that_is_stored_is_refused_in_eager_code_too():
    """`a[i] = x` asks x for its number, which eager derivatives know: its derivative would be lost."""
    for f in (lambda x: (_store(x), x.sum())[1], pb.jit(lambda x: (_store(x), x.sum())[1])):
        with pytest.raises((ValueError, TypeError)) as caught:
            pb.grad(f)(jnp.ones(3))
        message = str(caught.value) + str(caught.value.__cause__)
        assert "at[i].set(x)" in message
    assert pb.grad(lambda x: x if x > 1 else 3 * x)(0.5) == 3.0  # asking for a truth value is allowed


def test_an_index_into_a_numpy_array_is_refused():
    with pytest.raises(TracerArrayConversionError, match=r"pullback\.numpy\.asarray\(a\)\[x\]"):
        pb.vmap(lambda i: np.arange(5.0)[i])(jnp.arange(3))


def test_other_classes_are_asked():
    class Theirs:
        def __array_ufunc__(self, *args, **kwargs):
            return "theirs"

        def __array_function__(self, *args):
            return "theirs"

    def f(x):
        assert np.add(x, Theirs()) == "theirs" == np.concatenate([x, Theirs()])
        return x.sum()

    pb.grad(f)(jnp.ones(3))


# ---- the document --------------------------------------------------------------------------------


def test_the_document_runs():
    path = Path(__file__).parents[2] / "docs" / "numpy-code.md"
    with pb.enable_x64(True):
        result = doctest.testfile(
            str(path), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
        )
    assert result.attempted > 30 and not result.failed
