"""Traces have what ran; servers; memory."""

from __future__ import annotations

import gzip
import json
import threading
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import profiler


def waves(x: Any) -> Any:
    return jnp.sin(x @ x).sum()


def events(folder: Path) -> dict[str, dict[str, Any]]:
    """The events of the traces in a folder: statistics by name."""
    found = {}
    for file in folder.glob("plugins/profile/*/*.xplane.pb"):
        data = profiler.ProfileData.from_file(str(file))
        for plane in data.planes:
            assert isinstance(plane, profiler.ProfilePlane)
            for line in plane.lines:
                for e in line.events:
                    assert isinstance(e, profiler.ProfileEvent) and e.duration_ns == e.end_ns - e.start_ns
                    found[e.name] = dict(e.stats)
    return found


def test_traces(tmp_path: Path) -> None:
    x, f = jnp.ones((60, 60)), pb.jit(waves)
    f(x)
    again = profiler.annotate_function(lambda x: f(x + 1), name="again", kind="measured")
    with profiler.trace(tmp_path, create_perfetto_trace=True):
        with profiler.TraceAnnotation("once"):
            pb.block_until_ready(f(x))
        for i in range(2):
            with profiler.StepTraceAnnotation("step", step_num=i):
                pb.block_until_ready(again(x))
        with pytest.raises(RuntimeError, match="only one can be"):
            profiler.start_trace(tmp_path)
    found = events(tmp_path)
    assert {"once", "step", "again"} <= found.keys()
    assert (found["step"]["step_num"], found["again"]["kind"]) == (1, "measured")
    assert "waves" in {stats.get("hlo_module") for stats in found.values()}
    assert any("jit.py" in name for name in found)  # Python's functions
    (file,) = tmp_path.glob("plugins/profile/*/perfetto_trace.json.gz")
    content = json.loads(gzip.decompress(file.read_bytes()))
    assert {"once", "again"} <= {e.get("name") for e in content["traceEvents"]}
    with pytest.raises(RuntimeError, match="no trace is being taken"):
        profiler.stop_trace()


def test_what_is_recorded(tmp_path: Path) -> None:
    options = profiler.ProfileOptions()
    options.python_tracer_level = 0
    with pytest.raises(ZeroDivisionError), profiler.trace(tmp_path, profiler_options=options):
        with profiler.TraceAnnotation("before the error"):
            pb.jit(jnp.sin)(1.0)
        raise ZeroDivisionError
    found = events(tmp_path)
    assert "before the error" in found and not any("jit.py" in name for name in found)
    with pytest.raises(TypeError, match="must be ProfileOptions"):
        profiler.start_trace(tmp_path, profiler_options={})


def test_a_link_waits_until_it_is_followed(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    server: list[int] = []
    monkeypatch.setattr(profiler, "_PORT", 0)
    from http import server as module

    made = module.HTTPServer.server_activate
    monkeypatch.setattr(module.HTTPServer, "server_activate", lambda s: (made(s), server.append(s.server_port))[0])
    profiler.start_trace(tmp_path, create_perfetto_link=True)
    ending = threading.Thread(target=profiler.stop_trace)
    ending.start()
    while not server:
        ending.join(0.01)
    base = f"http://127.0.0.1:{server[0]}/"
    with pytest.raises(OSError, match="404"):
        urllib.request.urlopen(base + "other")
    assert ending.is_alive()
    with urllib.request.urlopen(base + "perfetto_trace.json.gz") as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "https://ui.perfetto.dev"
        assert json.loads(gzip.decompress(answer.read()))["traceEvents"]
    ending.join(10)
    assert not ending.is_alive() and "https://ui.perfetto.dev/#!/?url=http://127.0.0.1" in capsys.readouterr().out


def test_annotations_without_a_trace() -> None:
    @partial(profiler.annotate_function, name="double")
    def twice(x: Any) -> Any:
        return 2 * x

    assert (twice(4), twice.__name__) == (8, "twice")
    assert np.isclose(profiler.annotate_function(pb.jit(waves))(jnp.ones((1, 1))), np.sin(1))
    with pytest.raises(TypeError, match="takes a function"):
        profiler.annotate_function(3)  # type: ignore[arg-type]


def test_servers() -> None:
    with pytest.raises(ValueError, match="there is no profiler server"):
        profiler.stop_server()
    profiler.start_server(0)
    try:
        with pytest.raises(ValueError, match="there can be one"):
            profiler.start_server(0)
    finally:
        profiler.stop_server()
    with pytest.raises(TypeError, match="pid must be an integer"):
        profiler.register_subprocess("x", 1)  # type: ignore[arg-type]


def test_memory(tmp_path: Path) -> None:
    held = pb.jit(lambda: jnp.zeros(100_000))()
    profiler.save_device_memory_profile(tmp_path / "memory.prof")
    content = gzip.decompress((tmp_path / "memory.prof").read_bytes())
    assert b"allocations" in content and b"space" in content and held.nbytes == 400_000
    with pytest.raises(RuntimeError, match="Unknown backend"):
        profiler.device_memory_profile("abacus")
