"""Signals whose handlers raise leave nothing behind, wherever they come."""

import re
from pathlib import Path

import numpy as np
import pytest

import pullback
from tests import interrupts

#: The file that has scopes, and those whose `numpy.errstate` stands within an operation, at whose end what was there is put back;
#: and a trace of the profiler's, which is the process's, and is ended by `stop_trace` if a signal has left it.
WITHIN = {"bit_generators.py", "test_util.py", "scopes.py", "pjrt.py", "profiler.py"}


@pytest.fixture(autouse=True)
def users_settings():
    kept = np.geterr()
    yield
    np.seterr(**kept)


@pytest.mark.parametrize("name", list(interrupts.ACTIONS))
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what is raised in destructors
def test_an_exception_at_any_place_leaves_nothing_behind(name):
    count, failures = interrupts.at_every_place(name, sample=24, seed=len(name))
    assert count and not failures, "\n".join(failures)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_signals_leave_nothing_behind():
    count, failures = interrupts.by_signals(2.0)
    assert count and not failures, "\n".join(failures)


def test_nothing_is_set_before_what_puts_it_back():
    """Tokens of context variables come from the step of a loop, and blocks end by `Scope` alone (see `core.trace`, `core.scopes`)."""
    tokens = re.compile(r"\w*token\w* = (set_current|\w*floating\w*|[\w.]+\.set)\(")
    exits = re.compile(r"def __exit__|@contextmanager|np\.errstate\(")
    found = []
    for path in Path(pullback.__file__).parent.rglob("*.py"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if (tokens.search(line) or exits.search(line)) and path.name not in WITHIN:
                found.append(f"{path}:{number}: {line.strip()}")
    assert not found, "\n".join(found)
