"""Functions that are wrapped in transformations of their arguments and results, one inside the
other, and what these find out on the way.

    @transformation_with_aux2
    def counting(fun, aux, *args):
        out = fun(*args)
        aux.store(len(out))
        return out

    wrapped, count = counting(wrap_init(f))
    wrapped.call_wrapped(1.0)
    count()                                     # the length of what f gave

The wrapping is data: two functions wrapped alike are equal, so that caches find them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial, wraps
from typing import Any
from weakref import WeakKeyDictionary

from pullback.core.errors import user_line


class StoreException(Exception):
    """What a transformation was to find out is not known yet, or is known already and different.

    >>> @transformation_with_aux2
    ... def counting(fun, aux, *args):
    ...     aux.store(len(args))
    ...     return fun(*args)
    >>> wrapped, count = counting(wrap_init(max))
    >>> count()
    Traceback (most recent call last):
      ...
    pullback.extend.linear_util.StoreException: no value was stored: the wrapped function has not been called
    >>> wrapped.call_wrapped(1, 5, 3), count()
    (5, 3)
    """


class Store:
    """A place for one value, set once.

    >>> store = Store()
    >>> store.store(3)
    >>> store.val
    3
    """

    __slots__ = ("_val",)

    def store(self, val: Any) -> None:
        """Set the value. Raises StoreException if there is one."""
        if hasattr(self, "_val"):
            raise StoreException("a value was stored already: a wrapped function is called once")
        self._val = val

    def reset(self) -> None:
        """Forget the value."""
        if hasattr(self, "_val"):
            del self._val

    @property
    def val(self) -> Any:
        """The value. Raises StoreException if there is none."""
        if not hasattr(self, "_val"):
            raise StoreException("no value was stored: the wrapped function has not been called")
        return self._val

    def __bool__(self) -> bool:
        return hasattr(self, "_val")


class EqualStore(Store):
    """One that is set several times, to equal values.

    >>> store = EqualStore()
    >>> store.store((1,)), store.store((1,))
    (None, None)
    """

    __slots__ = ()

    def store(self, val: Any) -> None:
        if hasattr(self, "_val") and self._val != val:
            raise StoreException(
                f"stored {self._val!r:.100} before, and now {val!r:.100}: calls of one function must agree"
            )
        self._val = val


class WrappedFun:
    """A function `f` in transformations: `f_transformed` is both together. `call_wrapped` calls it.

    >>> wrap_init(lambda x: x + 1).call_wrapped(1)
    2
    """

    __slots__ = ("f", "f_transformed", "transforms", "stores", "params", "in_type", "debug_info")

    def __init__(
        self,
        f: Callable[..., Any],
        f_transformed: Callable[..., Any],
        transforms: tuple[Any, ...],
        stores: tuple[Store | None, ...],
        params: tuple[tuple[str, Hashable], ...],
        in_type: Any = None,
        debug_info: Any = None,
    ) -> None:
        self.f, self.f_transformed, self.transforms, self.stores = f, f_transformed, transforms, stores
        self.params, self.in_type, self.debug_info = params, in_type, debug_info

    @property
    def __name__(self) -> str:
        return str(getattr(self.f, "__name__", type(self.f).__name__))

    def call_wrapped(self, *args: Any, **kwargs: Any) -> Any:
        """What the transformed function gives.

        >>> transformation2(lambda inner, x: -inner(x))(wrap_init(abs)).call_wrapped(-3)
        -3
        """
        return self.f_transformed(*args, **kwargs)

    def wrap(self, gen: Callable[..., Any], gen_static_args: tuple[Any, ...], out_store: Store | None) -> WrappedFun:
        """The function in one more transformation, `gen(f_transformed, *gen_static_args, *args)`,
        which is also given `out_store`, before its arguments, if there is one. Decorators such as
        `transformation2` call it.

        >>> wrap_init(lambda x: 2 * x).wrap(lambda inner, n, x: inner(x) + n, (1,), None).call_wrapped(3)
        7
        """
        inner = self.f_transformed
        given = (inner, *gen_static_args) if out_store is None else (inner, out_store, *gen_static_args)
        return WrappedFun(
            self.f,
            partial(gen, *given),
            ((gen, gen_static_args), *self.transforms),
            (out_store, *self.stores),
            self.params,
            None,
            self.debug_info,
        )

    def populate_stores(self, stores: Sequence[Store | None]) -> None:
        """Set what the transformations find out to what those of an equal function have found out.

        >>> @transformation_with_aux2
        ... def counting(fun, aux, *args):
        ...     aux.store(len(args))
        ...     return fun(*args)
        >>> first, count = counting(wrap_init(max))
        >>> second, same_count = counting(wrap_init(max))
        >>> _ = first.call_wrapped(1, 2)
        >>> second.populate_stores(first.stores)
        >>> same_count()
        2
        """
        for mine, theirs in zip(self.stores, stores):
            if mine is not None and theirs is not None:
                mine.store(theirs.val)

    def replace_debug_info(self, debug_info: Any) -> WrappedFun:
        """The function, about which something else is known.

        >>> wrap_init(abs).replace_debug_info("a text").debug_info
        'a text'
        """
        return WrappedFun(
            self.f, self.f_transformed, self.transforms, self.stores, self.params, self.in_type, debug_info
        )

    def _key(self) -> tuple[Any, ...]:
        return self.f, self.transforms, self.params, self.in_type

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WrappedFun) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        names = [getattr(gen, "__name__", repr(gen)) for gen, _ in self.transforms]
        return f"WrappedFun({' of '.join([*names, self.__name__])})"


def wrap_init(f: Callable[..., Any], params: dict[str, Any] | None = None, *, debug_info: Any = None) -> WrappedFun:
    """`f`, ready to be wrapped; with `params`, called with these keywords too. `debug_info` says where
    it comes from (`api_util.debug_info`). Raises TypeError for what cannot be called.

    >>> wrap_init(int, {"base": 2}).call_wrapped("101")
    5
    """
    if not callable(f):
        raise TypeError(f"wrap_init takes a function, got {f!r:.100}, at {user_line()}")
    params = params or {}
    return WrappedFun(f, partial(f, **params) if params else f, (), (), tuple(sorted(params.items())), None, debug_info)


def _curried(fun: Callable[..., Any]) -> Callable[..., Any]:
    """`fun(gen, wrapped, *static)`, which called with `gen` alone gives a function of the others: a
    decorator."""

    @wraps(fun)
    def called(gen: Callable[..., Any], *rest: Any, **options: Any) -> Any:
        if rest:
            return fun(gen, *rest, **options)
        return wraps(gen)(lambda *others, **named: fun(gen, *others, **options | named))

    return called


def _through(gen: Callable[..., Any]) -> Callable[..., Any]:
    """A generator that yields arguments and keywords, is sent the result, and yields the result of
    all, as a function that calls the function that it is given."""

    def transformed(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        steps = gen(*args, **kwargs)
        args_in, kwargs_in = next(steps)
        out = steps.send(fun(*args_in, **kwargs_in))
        steps.close()
        return out

    return transformed


def _through_with_aux(gen: Callable[..., Any]) -> Callable[..., Any]:
    def transformed(fun: Callable[..., Any], store: Store, *args: Any, **kwargs: Any) -> Any:
        out, aux = _through(gen)(fun, *args, **kwargs)
        store.store(aux)
        return out

    return transformed


class _Generator:
    """A transformation that is written as a generator; those of one generator are equal."""

    __slots__ = ("gen", "run", "__weakref__")

    def __init__(self, gen: Callable[..., Any], adapt: Callable[..., Any]) -> None:
        self.gen, self.run = gen, adapt(gen)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Generator) and self.gen == other.gen

    def __hash__(self) -> int:
        return hash(self.gen)

    @property
    def __name__(self) -> str:
        return str(getattr(self.gen, "__name__", "generator"))


@_curried
def transformation(gen: Callable[..., Any], fun: WrappedFun, *gen_static_args: Any) -> WrappedFun:
    """`fun` in a transformation that is a generator: `gen(*gen_static_args, *args)` yields a pair
    of arguments and keywords, is sent the result, and yields what the whole gives. Decorates `gen`.

    >>> @transformation
    ... def twice_the_argument(x):
    ...     out = yield (2 * x,), {}
    ...     yield out
    >>> twice_the_argument(wrap_init(lambda x: x + 1)).call_wrapped(3)
    7
    """
    return fun.wrap(_Generator(gen, _through), gen_static_args, None)


@_curried
def transformation_with_aux(
    gen: Callable[..., Any], fun: WrappedFun, *gen_static_args: Any, use_eq_store: bool = False
) -> tuple[WrappedFun, Callable[[], Any]]:
    """As `transformation`, where the last pair yielded is of the result and of something that is found
    out: the function, and a function that gives the latter. Decorates `gen`.

    >>> @transformation_with_aux
    ... def counting(*args):
    ...     result = yield args, {}
    ...     yield result, len(args)
    >>> wrapped, count = counting(wrap_init(max))
    >>> wrapped.call_wrapped(1, 5, 3), count()
    (5, 3)
    """
    store = EqualStore() if use_eq_store else Store()
    return fun.wrap(_Generator(gen, _through_with_aux), gen_static_args, store), lambda: store.val


@_curried
def transformation2(gen: Callable[..., Any], fun: WrappedFun, *gen_static_args: Any) -> WrappedFun:
    """`fun` in a transformation that is a function: `gen(inner, *gen_static_args, *args)` calls
    `inner`. Decorates `gen`.

    >>> @transformation2
    ... def plus(inner, n, x):
    ...     return inner(x) + n
    >>> plus(wrap_init(lambda x: 2 * x), 1).call_wrapped(3)
    7
    """
    return fun.wrap(gen, gen_static_args, None)


@_curried
def transformation_with_aux2(
    gen: Callable[..., Any], fun: WrappedFun, *gen_static_args: Any, use_eq_store: bool = False, unk_names: bool = False
) -> tuple[WrappedFun, Callable[[], Any]]:
    """As `transformation2`, for a function that finds something out: `gen(inner, store,
    *gen_static_args, *args)` says it by `store.store(value)`. The function, and a function that
    gives the value, or raises StoreException before it is known. Decorates `gen`.

    >>> @transformation_with_aux2
    ... def remembering(inner, store, *args):
    ...     store.store(args)
    ...     return inner(*args)
    >>> wrapped, arguments = remembering(wrap_init(max))
    >>> wrapped.call_wrapped(1, 5, 3), arguments()
    (5, (1, 5, 3))
    """
    del unk_names
    store = EqualStore() if use_eq_store else Store()
    return fun.wrap(gen, gen_static_args, store), lambda: store.val


def merge_linear_aux(aux1: Callable[[], Any], aux2: Callable[[], Any]) -> tuple[bool, Any]:
    """What was found out by the one of two functions that has been called, and whether it is the
    first. Raises StoreException if neither has been, or both.

    >>> first, second = Store(), Store()
    >>> second.store("two")
    >>> merge_linear_aux(lambda: first.val, lambda: second.val)
    (False, 'two')
    """
    try:
        found = aux1()
    except StoreException:
        return False, aux2()
    try:
        aux2()
    except StoreException:
        return True, found
    raise StoreException("both functions have been called: neither value is the one")


def cache(call: Callable[..., Any], *, explain: Any = None) -> Callable[..., Any]:
    """`call(wrapped, *args)`, which remembers its results as long as the function that is wrapped
    lives, for functions in equal transformations and equal (hashable) arguments, and under equal
    options. `cache_clear()` of it forgets them.

    >>> @cache
    ... def doubled(fun, x):
    ...     print("computed")
    ...     return 2 * fun.call_wrapped(x)
    >>> doubled(wrap_init(abs), -3), doubled(wrap_init(abs), -3)
    computed
    (6, 6)
    """
    del explain
    from pullback.core.config import program_state

    found: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()

    @wraps(call)
    def cached(fun: WrappedFun, *args: Any) -> Any:
        of_function = found.setdefault(fun.f, {})
        key = fun.transforms, fun.params, fun.in_type, args, id(program_state())
        if key in of_function:
            out, stores = of_function[key]
            fun.populate_stores(stores)
        else:
            out = call(fun, *args)
            of_function[key] = out, fun.stores
        return out

    cached.cache_clear = found.clear  # type: ignore[attr-defined]
    return cached


__all__ = [
    "StoreException",
    "WrappedFun",
    "cache",
    "merge_linear_aux",
    "transformation",
    "transformation2",
    "transformation_with_aux",
    "transformation_with_aux2",
    "wrap_init",
]
