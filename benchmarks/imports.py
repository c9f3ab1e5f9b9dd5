"""How long imports take, each in fresh processes."""

from __future__ import annotations

import statistics
import subprocess
import sys


def import_seconds(modules: list[str], repetitions: int) -> dict[str, float]:
    """Median seconds of `python -c "import module"`, less those of an empty program; processes of all modules take turns."""
    times: dict[str, list[float]] = {m: [] for m in modules}
    program = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
    for _ in range(repetitions):
        for module in modules:
            out = subprocess.run(
                [sys.executable, "-c", program.format(module)], capture_output=True, text=True, check=True
            )
            times[module].append(float(out.stdout))
    return {m: statistics.median(t) for m, t in times.items()}
