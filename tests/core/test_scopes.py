"""Scopes: contexts and decorators that are entered again, by several threads, tasks and generators at once."""

import asyncio
import threading
from contextlib import ExitStack

import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core import config
from pullback.core.staging import _name_stack


def width() -> int:
    return jnp.ones(2).dtype.itemsize


def test_the_same_object_is_entered_again():
    on, off = pb.enable_x64(True), pb.enable_x64(False)
    with on:
        with on, off:
            with on:
                assert width() == 8
            assert width() == 4
        assert width() == 8
    assert width() == 4
    assert not config._here.get()


def test_scopes_are_left_by_hand_and_by_stacks():
    on = pb.enable_x64(True)
    on.__enter__()
    on.__enter__()
    on.__exit__(None, None, None)
    assert width() == 8
    on.__exit__(None, None, None)
    assert width() == 4
    with ExitStack() as stack:
        stack.enter_context(on)
        stack.enter_context(pb.named_scope("a"))
        assert width() == 8
        assert _name_stack.get() == ("a",)
    assert width() == 4
    leave = on.__exit__  # asked for before it is entered, as `with` does
    on.__enter__()
    leave(None, None, None)
    assert width() == 4


def test_threads_share_an_object():
    on, both, bad = pb.enable_x64(True), threading.Barrier(2), []

    def enter() -> None:
        try:
            for _ in range(20):
                with on:
                    both.wait(10)
                    bad.extend([] if width() == 8 else ["not set"])
                    both.wait(10)
                bad.extend([] if width() == 4 else ["left behind"])
        except Exception as error:
            bad.append(error)

    threads = [threading.Thread(target=enter) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not bad


def test_tasks_share_an_object():
    on = pb.enable_x64(True)

    @on
    async def decorated() -> int:
        await asyncio.sleep(0.001)
        return width()

    async def entered() -> int:
        with on:
            await asyncio.sleep(0.001)
            return width()

    async def plain() -> int:
        await asyncio.sleep(0.001)
        return width()

    async def main() -> list[int]:
        return await asyncio.gather(decorated(), plain(), entered(), plain(), decorated())

    assert asyncio.run(main()) == [8, 4, 8, 4, 8]


def test_generators_end_in_any_order():
    on, off = pb.enable_x64(True), pb.enable_x64(False)

    def steps(scope):
        with scope:
            yield width()

    first, second = steps(on), steps(off)
    assert (next(first), next(second)) == (8, 4)
    first.close()
    assert width() == 4
    second.close()
    assert not config._here.get()
    third = steps(on)
    with off:
        next(third)
    assert width() == 8  # the generator's, which is not over
    del third
    assert not config._here.get()


def test_functions_of_every_kind_are_decorated():
    @pb.enable_x64(True)
    @pb.named_scope("b")
    def f(x, *, y=1):
        """A docstring."""
        return width(), _name_stack.get(), x + y

    assert f(1, y=2) == (8, ("b",), 3)
    assert f.__doc__ == "A docstring."
    assert width() == 4

    @pb.enable_x64(True)
    def numbers():
        yield width()
        yield width()

    assert list(numbers()) == [8, 8]

    @pb.enable_x64(True)
    async def async_numbers():
        yield width()

    async def main():
        return [n async for n in async_numbers()]

    assert asyncio.run(main()) == [8]
    assert width() == 4
    with pytest.raises(TypeError, match=r"enable_x64\(True\) decorates functions, got 3"):
        pb.enable_x64(True)(3)


def test_an_error_in_the_block_ends_the_scope():
    with pytest.raises(ZeroDivisionError), pb.enable_x64(True), pb.named_scope("a"):
        1 / 0
    assert not config._here.get()
    assert _name_stack.get() == ()


def test_nested_names_are_taken_away_one_by_one():
    a = pb.named_scope("a")
    with a, pb.named_scope("b"), a:
        assert _name_stack.get() == ("a", "b", "a")
    assert _name_stack.get() == ()
    jaxpr = pb.make_jaxpr(a(lambda x: jnp.sin(x)))(1.0)
    assert jaxpr.eqns[0].name_stack == ("a",) if hasattr(jaxpr.eqns[0], "name_stack") else True
