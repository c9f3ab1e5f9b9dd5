"""What a program spends its time and memory on: traces for TensorBoard, XProf and Perfetto.

A trace has the Python functions that ran, XLA's own steps, and each operation of compiled programs
(with the program's name as `hlo_module`); operations of eager code are Python functions and NumPy's,
and what `TraceAnnotation` names. It is written below `log_dir`, where TensorBoard looks for it:
`plugins/profile/TIME/HOST.xplane.pb`.

>>> import pullback as pb
>>> import pullback.numpy as jnp
>>> def half(x):
...     return jnp.tanh(x @ x) / 2
>>> x = pb.jit(half)(jnp.ones((50, 50)))        # compiled before it is measured
>>> import glob, tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> with trace(folder.name):
...     with TraceAnnotation("the part that is slow"):
...         x = pb.jit(half)(x).block_until_ready()
>>> (file,) = glob.glob(f"{folder.name}/plugins/profile/*/*.xplane.pb")
>>> data = ProfileData.from_file(file)
>>> folder.cleanup()
>>> names = {e.name for plane in data.planes for line in plane.lines for e in line.events}
>>> "the part that is slow" in names
True
"""

from __future__ import annotations

import functools
import gzip
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pullback.core.errors import user_line
from pullback.core.locks import new_lock
from pullback.core.types import integer
from pullback.xla import pjrt
from pullback.xla.placement import default_platform, platform_devices

_jaxlib = pjrt.profiler()
_data = pjrt.profile_data()

#: A trace that has been taken: `ProfileData.from_file(path)`, its `planes`, their `lines`, and the
#: events of these, with names, times in nanoseconds and `stats`.
ProfileData, ProfilePlane, ProfileEvent = _data.ProfileData, _data.ProfilePlane, _data.ProfileEvent
#: What a trace records: `host_tracer_level`, `python_tracer_level` (0: no Python functions), ...
ProfileOptions = _jaxlib.ProfileOptions


class TraceAnnotation(_jaxlib.TraceMe):  # type: ignore[misc]
    """A context whose time is an event of the trace, `name`; keywords are its statistics. Without a
    trace it does nothing.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, trace(folder):
    ...     with TraceAnnotation("load", batch=3):
    ...         pass
    """


class StepTraceAnnotation(TraceAnnotation):
    """`TraceAnnotation` for a step of training: tools show how long steps take, by the keyword
    `step_num`.

    >>> for i in range(2):
    ...     with StepTraceAnnotation("train", step_num=i):
    ...         pass
    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, _r=1, **kwargs)


def annotate_function(func: Callable[..., Any], name: str | None = None, **decorator_kwargs: Any) -> Callable[..., Any]:
    """`func`, each call of which is a `TraceAnnotation`: of its own name, or `name`, with
    `decorator_kwargs` as statistics.

    >>> @annotate_function
    ... def load(x):
    ...     return x
    >>> load(3)
    3
    """
    if not callable(func):
        raise TypeError(f"annotate_function takes a function, got {func!r:.100}, at {user_line()}")
    title = name or getattr(func, "__name__", type(func).__name__)

    @functools.wraps(func)
    def annotated(*args: Any, **kwargs: Any) -> Any:
        with TraceAnnotation(title, **decorator_kwargs):
            return func(*args, **kwargs)

    return annotated


# ---- traces --------------------------------------------------------------------------------------


class _Trace(NamedTuple):
    """The trace that is being taken."""

    session: Any
    log_dir: str
    perfetto_trace: bool
    perfetto_link: bool


_lock = new_lock(5, globals(), "_lock")
_running: _Trace | None = None


def start_trace(
    log_dir: os.PathLike[str] | str,
    create_perfetto_link: bool = False,
    create_perfetto_trace: bool = False,
    profiler_options: Any = None,
) -> None:
    """Begin a trace, which `stop_trace` ends. Arguments are those of `trace`. Raises RuntimeError if
    there is one already, TypeError for options that are no `ProfileOptions`.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     start_trace(folder)
    ...     stop_trace()
    ...     os.listdir(folder)
    ['plugins']
    """
    global _running
    if profiler_options is not None and not isinstance(profiler_options, ProfileOptions):
        raise TypeError(f"profiler_options must be ProfileOptions, got {profiler_options!r:.100}, at {user_line()}")
    pjrt.cpu()  # without a runtime there is nothing to record
    options = ProfileOptions() if profiler_options is None else profiler_options
    with _lock:
        if _running is not None:
            raise RuntimeError(f"a trace into {_running.log_dir} is being taken, and only one can be, at {user_line()}")
        session = _jaxlib.ProfilerSession(options)
        _running = _Trace(session, os.fspath(log_dir), create_perfetto_trace, create_perfetto_link)


def stop_trace() -> None:
    """End the trace, and write it into the folder that `start_trace` was given. Raises RuntimeError
    if there is none.

    >>> stop_trace()
    Traceback (most recent call last):
        ...
    RuntimeError: no trace is being taken, at ...
    """
    global _running
    with _lock:
        if _running is None:
            raise RuntimeError(f"no trace is being taken, at {user_line()}: start_trace begins one")
        taken, _running = _running, None
        taken.session.stop_and_export(taken.log_dir)
    if taken.perfetto_trace or taken.perfetto_link:
        file = _write_perfetto(Path(taken.log_dir))
        if taken.perfetto_link:
            _serve_once(file)


@contextmanager
def trace(
    log_dir: os.PathLike[str] | str,
    create_perfetto_link: bool = False,
    create_perfetto_trace: bool = False,
    profiler_options: Any = None,
) -> Iterator[None]:
    """A context of which a trace is taken, and written below the folder `log_dir`.

    With `create_perfetto_trace` there is a file `perfetto_trace.json.gz` beside it, which
    https://ui.perfetto.dev opens; with `create_perfetto_link` a link is printed, too, and the end of
    the context waits until Perfetto has loaded the file through it (from port 9001 of this machine).
    `profiler_options`, `ProfileOptions`, say what is recorded. Raises RuntimeError if a trace is
    being taken already.

    Programs run asynchronously: `block_until_ready` in the context has them end there.

    >>> import glob, tempfile
    >>> import pullback.numpy as jnp
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with trace(folder, create_perfetto_trace=True):
    ...         x = jnp.ones(3).sum().block_until_ready()
    ...     len(glob.glob(f"{folder}/plugins/profile/*/perfetto_trace.json.gz"))
    1
    """
    start_trace(log_dir, create_perfetto_link, create_perfetto_trace, profiler_options)
    try:
        yield
    finally:
        stop_trace()


def _write_perfetto(log_dir: Path) -> Path:
    """The newest trace's events, in the form that Perfetto reads."""
    events = max(log_dir.glob("plugins/profile/*/*.trace.json.gz"), key=lambda p: p.stat().st_mtime_ns)
    content = json.loads(gzip.decompress(events.read_bytes()))
    # The list ends with an empty event, which Perfetto does not take.
    content = {"displayTimeUnit": "ns", "traceEvents": [e for e in content["traceEvents"] if e]}
    file = events.with_name("perfetto_trace.json.gz")
    file.write_bytes(gzip.compress(json.dumps(content).encode()))
    return file


_PERFETTO, _PORT = "https://ui.perfetto.dev", 9001  # the only port of this machine that Perfetto's page may ask


def _serve_once(file: Path) -> None:
    """Print the link by which Perfetto loads the file, and wait until it has."""
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        served = False

        def do_GET(self) -> None:
            content = file.read_bytes() if self.path == f"/{file.name}" else None
            self.send_response(404 if content is None else 200)
            self.send_header("Access-Control-Allow-Origin", _PERFETTO)
            self.end_headers()
            if content is not None:
                self.wfile.write(content)
                Handler.served = True

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", _PORT), Handler) as server:
        sys.stdout.write(f"Open {_PERFETTO}/#!/?url=http://127.0.0.1:{_PORT}/{file.name} in a browser\n")
        sys.stdout.flush()
        while not Handler.served:
            server.handle_request()


# ---- servers -------------------------------------------------------------------------------------

_server: Any = None


def start_server(port: int, requires_backend: bool = True) -> Any:
    """Serve traces on `port`: TensorBoard ("capture profile") and other tools ask for them there.
    The result is the server, which `stop_server` ends. Raises ValueError if there is one already.

    `requires_backend` starts the runtime first, so that there is something to record.

    >>> server = start_server(0)                              # 0: any port that is free
    >>> stop_server()
    """
    global _server
    if requires_backend:
        pjrt.cpu()
    with _lock:
        if _server is not None:
            raise ValueError(
                f"there is a profiler server already, and there can be one, at {user_line()}: stop_server ends it"
            )
        _server = _jaxlib.start_server(integer(port, "start_server: port"))
        return _server


def stop_server() -> None:
    """End the server. Raises ValueError if there is none.

    >>> stop_server()
    Traceback (most recent call last):
        ...
    ValueError: there is no profiler server, at ...
    """
    global _server
    with _lock:
        if _server is None:
            raise ValueError(f"there is no profiler server, at {user_line()}: start_server begins one")
        _server = None


def register_subprocess(pid: int, port: int) -> Callable[[], None]:
    """Have traces of this process include those of process `pid`, whose `start_server` is at `port`.
    The result ends that. Raises RuntimeError if the process does not answer within half a minute, and
    for this process itself.

    >>> try:
    ...     register_subprocess(os.getpid(), 9002)
    ... except RuntimeError as error:
    ...     "same pid as current process" in str(error)
    True
    """
    unregister: Callable[[], None] = _jaxlib.register_subprocess(
        integer(pid, "register_subprocess: pid"), integer(port, "register_subprocess: port")
    )
    return unregister


# ---- memory --------------------------------------------------------------------------------------


def device_memory_profile(backend: str | None = None) -> bytes:
    """What memory the runtime holds on a platform's devices, by device and kind (arrays that
    programs have made or been given, executables), for the tool `pprof`, compressed by gzip.

    Arrays of eager code on the host are NumPy's, and not in it; nor are the places where memory was
    allocated, which would slow every call. Raises RuntimeError for platforms that are not there.

    >>> device_memory_profile()[:2] == bytes([0x1F, 0x8B])
    True
    """
    found = platform_devices(default_platform() if backend is None else backend)
    return gzip.compress(found[0].placement.target.platform.client.heap_profile())


def save_device_memory_profile(filename: os.PathLike[str] | str, backend: str | None = None) -> None:
    """Write `device_memory_profile(backend)` into a file. Raises what it does, and what `open` does.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_device_memory_profile(f"{folder}/memory.prof")
    ...     os.path.getsize(f"{folder}/memory.prof") > 0
    True
    """
    Path(filename).write_bytes(device_memory_profile(backend))


__all__ = [
    "ProfileData",
    "ProfileEvent",
    "ProfileOptions",
    "ProfilePlane",
    "StepTraceAnnotation",
    "TraceAnnotation",
    "annotate_function",
    "device_memory_profile",
    "register_subprocess",
    "save_device_memory_profile",
    "start_server",
    "start_trace",
    "stop_server",
    "stop_trace",
    "trace",
]
