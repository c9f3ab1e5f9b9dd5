"""Signals whose handlers raise leave nothing behind, wherever they come."""

import numpy as np
import pytest

from tests import interrupts


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
