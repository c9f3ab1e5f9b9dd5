"""One library in a process of its own, which measures when it is told to and is idle otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks import with_autograd, with_jax_api, with_numpy, with_torch
from benchmarks.problems import Data, data

LIBRARIES: dict[str, Callable[[Data], dict[str, Callable[[], Any]]]] = {
    "pullback": with_jax_api.pullback_functions,
    "jax": with_jax_api.jax_functions,
    "torch.func": with_torch.func_functions,
    "torch.autograd": with_torch.autograd_functions,
    "autograd": with_autograd.functions,
    "numpy": with_numpy.functions,
}


def flat(answer: Any) -> np.ndarray[Any, Any]:
    """All numbers of an answer: an array, or nested tuples and lists of arrays."""
    if isinstance(answer, (tuple, list)):
        return np.concatenate([flat(a) for a in answer]) if answer else np.zeros(0)
    detach = getattr(answer, "detach", None)
    return np.asarray(detach() if detach else answer, np.float64).ravel()


def timed(function: Callable[[], Any], calls: int) -> float:
    """Seconds a call, over so many calls."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def samples(function: Callable[[], Any], seconds: float) -> list[float]:
    """Times of a call, measured for so long: in batches long enough for the clock, after as many calls to warm up."""
    function()
    once = timed(function, 1)
    calls = max(1, min(1000, int(0.002 / max(once, 1e-7))))
    batches = max(3, int(seconds / max(once * calls, 1e-7)))
    timed(function, calls)
    return [timed(function, calls) for _ in range(min(batches, 200))]


def serve(library: str, pipe: Connection) -> None:
    """Answer requests until told to stop: ("answer", problem), ("measure", problem, seconds)."""
    try:
        functions = LIBRARIES[library](data())
    except Exception as error:  # most often, the library is not installed: told to the driver, which goes on without
        pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))
        return
    pipe.send(sorted(functions))
    while (request := pipe.recv()) is not None:
        try:
            if request[0] == "answer":
                pipe.send(flat(functions[request[1]]()))
            else:
                pipe.send(samples(functions[request[1]], request[2]))
        except Exception as error:  # told to the driver, which reports it beside the results
            pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))
