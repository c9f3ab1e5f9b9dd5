"""The runner of a compiled program: every combination of results, callbacks, donation and placement."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.xla import dispatch
from pullback.xla.placement import HOST, ON_HOST, Placement, default_placement

CALLS = pb.ShapeDtypeStruct((3,), "float32")


@pytest.mark.parametrize(("several", "calls", "donates", "away"), list(itertools.product([False, True], repeat=4)))
def test_every_combination(several: bool, calls: bool, donates: bool, away: bool) -> None:
    seen = []

    def f(x, unused, big):
        y = pb.pure_callback(lambda v: seen.append(1) or np.asarray(v) * 2, CALLS, x) if calls else x * 2
        return (y, y + 1, big.sum()) if several else y

    device = pb.devices("cpu")[1] if away else None
    put = (lambda v: pb.device_put(v, device)) if away else (lambda v: v)
    g = pb.jit(f, donate_argnums=0 if donates else ())
    big = put(jnp.ones(100_000))  # held once
    for i in range(3):
        x = put(jnp.full(3, float(i)))
        out = g(x, put(jnp.ones(2)), big)
        first = out[0] if several else out
        assert first.tolist() == [2.0 * i] * 3 and x.is_deleted() is donates
        assert first.devices() == {device or HOST}
        if several:
            assert out[1].tolist() == [2.0 * i + 1] * 3 and out[2] == 100_000
    assert len(seen) == 3 * calls


def test_who_lets_go_of_its_arguments_says_so() -> None:
    one = lambda f, **where: dispatch.compiled(pb.jit(f).trace(jnp.ones(3)).jaxpr, **where)
    calling = lambda x: pb.pure_callback(np.sin, CALLS, x)
    there = pb.devices("cpu")[1].placement
    assert one(jnp.sin).lets_go and not one(calling).lets_go and not one(jnp.sin, placement=there).lets_go


def test_a_failure_is_reported_in_one_way() -> None:
    def fails(v):
        raise KeyError("no such sine")

    for fun in (lambda x: pb.pure_callback(fails, CALLS, x), lambda x: (pb.pure_callback(fails, CALLS, x), x)):
        with pytest.raises(pb.errors.JaxRuntimeError, match=r"(?s)jit\(<lambda>\) failed.*no such sine") as caught:
            pb.block_until_ready(pb.jit(fun)(jnp.ones(3)))
        assert isinstance(caught.value.__cause__, KeyError)


def test_equal_placements_are_one_object() -> None:
    second = pb.devices("cpu")[1]
    assert second.placement is pb.devices("cpu")[1].placement and isinstance(second.placement, Placement)
    assert HOST.placement is ON_HOST and default_placement() is ON_HOST
    assert second.placement.device is second and second.placement.target.ids == [second.id]
    with pb.default_device(second):
        assert default_placement() is second.placement
    x = pb.device_put(jnp.ones(3), second)
    assert x.on is second.placement and x.device is second
