"""How long imports take, each in fresh processes."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys


def import_seconds(modules: list[str], repetitions: int) -> dict[str, float]:
    """Median seconds of `python -c "import module"`, less those of an empty program; processes of all modules take turns."""
    # As for a user: byte code is cached, and the first round, which fills the caches, does not count.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    times: dict[str, list[float]] = {m: [] for m in modules}
    program = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
    for i in range(repetitions + 1):
        for module in modules:
            out = subprocess.run(
                [sys.executable, "-c", program.format(module)],
                capture_output=True,
                text=True,
                check=True,
                env=environment,
            )
            if i:
                times[module].append(float(out.stdout))
    return {m: statistics.median(t) for m, t in times.items()}
