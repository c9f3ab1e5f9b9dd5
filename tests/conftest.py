"""What all tests share: sample sizes, one BLAS thread a process, and the check that nothing is left installed.

PULLBACK_TEST_SAMPLE=full takes every sample; the default is a bounded choice that is always the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

# Before NumPy is imported: the processes that tests are spread over do the work of threads.
os.environ.setdefault("PULLBACK_ENABLE_COMPILATION_CACHE", "0")  # tests of the cache switch it on
os.environ.setdefault("PULLBACK_NUM_CPU_DEVICES", "3")  # one would do for all but the tests of devices
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import pytest
from hypothesis import HealthCheck, settings

from pullback.core.config import config
from pullback.core.trace import EVAL, current, set_current

FULL = os.environ.get("PULLBACK_TEST_SAMPLE") == "full"

settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=500 if FULL else 60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("default")


@pytest.fixture(autouse=True)
def nothing_is_left_installed() -> Iterator[None]:
    """Fails a test that leaves a trace installed or an option changed, and restores both for the next."""
    before = config.values
    yield
    trace, after = current(), config.values
    set_current(EVAL)
    for name, value in before.items():
        if after[name] != value:
            config.update(name, value)
    assert trace is EVAL, f"the test left the trace {trace!r} installed"
    changed = {name: value for name, value in after.items() if value != before[name]}
    assert not changed, f"the test left options changed: {changed}"
