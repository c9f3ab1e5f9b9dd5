"""dtypes that NumPy does not have are told by their properties."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.core import dtypes
from tests.conftest import FULL

#: The 8-bit floats that have zero, signs and NaN: those that arithmetic is there for.
FLOATS = [d for d in dtypes.FLOAT8 if d.itemsize == 1 and d.name.startswith("float8") and d.name != "float8_e8m0fnu"]


def test_no_type_is_told_by_the_letter_of_void_types() -> None:
    letters = re.compile(r"""\bkind (?:==|!=|in|not in) ["'][^"']*V""")
    found = [
        f"{path.name}:{i}"
        for path in Path(pb.__file__).parent.rglob("*.py")
        for i, line in enumerate(path.read_text().splitlines(), 1)
        if letters.search(line)
    ]
    assert not found, "float8_e5m2 has the kind 'f', the other types of ml_dtypes 'V': ask dtypes.is_numpys"


def _everything(x: Any) -> dict[str, Any]:
    t = jnp.array([True, False, True, True])
    return {
        "arithmetic": (x * 2, x + x, x / 2, x**2, -x, abs(x), x < x[::-1], x == x, x @ jnp.where(x != x, 0, x)),
        "functions": (jnp.sin(x), jnp.exp(x), jnp.sign(x), jnp.floor(x), jnp.rint(x), jnp.isnan(x), jnp.isinf(x), jnp.nan_to_num(x)),
        "sorted": (jnp.argsort(x), lax.sort((x, x[::-1]), num_keys=2), lax.top_k(x, 2), jnp.searchsorted(jnp.sort(x), x)),
        "extrema": (x.max(), x.min(), jnp.argmax(x), jnp.argmin(x), jnp.maximum(x, x[::-1]), jnp.max(x, initial=0.0, where=x > 0)),
        "without NaN": (jnp.nanmax(x), jnp.nanmin(x), jnp.nanargmax(x), jnp.nanargmin(x), jnp.nansum(x)),
        "sums": (x.sum(), jnp.cumsum(x), x.mean(), x.prod()),
        "chosen": (jnp.where(t, x, 0), pb.nn.softmax(x, where=t), pb.nn.logsumexp(x, where=t), x.at[jnp.array([0, 0])].add(x[:2])),
        "constants": (x + jnp.array([1, 2, 0.5, 1], x.dtype), x[0] + jnp.array([1, 2, 0.5, 1] * 4, x.dtype)),
        "bits": (lax.bitcast_convert_type(x, jnp.uint8), x.view("uint8"), x.astype("float32"), x.astype("float32").astype(x.dtype)),
        "moved": (jnp.broadcast_to(x[0], (3,)), jnp.broadcast_to(x[:, None], (4, 2)), lax.scan(lambda c, v: (c, v * 2), 0, x)[1]),
        "called": pb.pure_callback(lambda v: v, x, x),
        "gathered": pb.vmap(lambda x, i: x[i])(jnp.stack([x, x]), jnp.array([[1, 0], [2, 5]])), "taken": jnp.take(x, jnp.array([3, 0])),
        "scattered": pb.vmap(lambda x, i: x.at[i].set(2))(jnp.stack([x, x]), jnp.array([1, 2])), "windows": jnp.stack([x, x])[:, ::2][1],
    }  # fmt: skip


#: One with NumPy's letter, and one that has neither an infinity nor -0.0; the others are in the full sample.
SAMPLE = FLOATS if FULL else [d for d in FLOATS if d.name in ("float8_e5m2", "float8_e4m3b11fnuz")]


@pytest.mark.parametrize("dtype", SAMPLE, ids=[d.name for d in SAMPLE])
def test_8_bit_floats_compile_to_what_they_evaluate_to(dtype: Any) -> None:
    compiled = pb.jit(_everything)
    for values in ([1.0, -2.0, 0.5, 3.0], [1.0, np.nan, -2.0, 0.5], [0.0, -0.0, 1.0, 1.0]):
        x = jnp.array(values, dtype)
        eager, staged = pb.tree.flatten(_everything(x))[0], pb.tree.flatten(compiled(x))[0]
        for i, (a, b) in enumerate(zip(eager, staged, strict=True)):
            assert a.dtype == b.dtype, (i, values)
            np.testing.assert_allclose(
                np.asarray(a).astype("f4"), np.asarray(b).astype("f4"), rtol=0.15, atol=0.1, err_msg=f"{i}, {values}"
            )


@pytest.mark.parametrize("dtype", FLOATS, ids=[d.name for d in FLOATS])
def test_8_bit_floats_sort_and_have_extrema(dtype: Any) -> None:
    """Some have no infinity, some have their NaN where others have -0.0: neither is what order begins or ends with."""
    x = jnp.array([1.0, np.nan, -2.0, 0.5], dtype)
    for transform in (lambda f: f, pb.jit):
        up = transform(jnp.sort)(x).astype("float32")
        assert up[:3].tolist() == [-2.0, 0.5, 1.0] and jnp.isnan(up[3])
        assert [float(transform(f)(x)) for f in (jnp.nanmax, jnp.nanmin)] == [1.0, -2.0]
        assert [int(transform(f)(x)) for f in (jnp.nanargmax, jnp.nanargmin)] == [0, 2]
        assert jnp.isnan(transform(jnp.max)(x).astype("float32"))
    assert pb.jit(pb.grad(lambda x: (x * 2).astype("float32").sum()))(x).dtype == dtype


def test_scalar_type_of_takes_what_names_a_type() -> None:
    """A dtype by any of its names, and a value of it, correspond to the same Python scalar."""
    for name, scalar in {"bool": bool, "uint8": int, "int4": int, "bfloat16": float, "complex64": complex}.items():
        dtype = np.dtype(name)
        spellings = [name, dtype, dtype.type, np.zeros(2, dtype), jnp.zeros(2, name), pb.ShapeDtypeStruct((), name)]
        assert [dtypes.scalar_type_of(x) for x in (*spellings, scalar, scalar(1))] == [scalar] * 8, name
    for wrong in (pb.random.key(0), pb.random.key(0).dtype, [1.0], None, "nothing"):
        with pytest.raises(TypeError):
            dtypes.scalar_type_of(wrong)
