"""The persistent compilation cache: what it saves, and what it never loads."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.xla import cache

PROGRAM = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(message)s")
for noisy in ("asyncio",): logging.getLogger(noisy).setLevel(logging.ERROR)
import pullback as pb, pullback.numpy as jnp
for n in range(int(sys.argv[1])):
    print(float(pb.jit(lambda x: jnp.sum(jnp.sin(x) * (n + 1.5)))(jnp.arange(3.0))))
"""


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "cache"
    with pb.config.option("enable_compilation_cache")(True), pb.config.option("compilation_cache_dir")(str(path)):
        yield path


def compute(x=1.0):
    """A program of its own, compiled or loaded."""
    pb.clear_caches()
    return float(pb.jit(lambda x: jnp.sum(jnp.cos(x) * 3.25))(jnp.full(5, x)))


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.xla"))


def outcomes(caplog) -> list[str]:
    return [r.getMessage().split(" ")[0] for r in caplog.records if r.name == "pullback.compilation_cache"]


EXPECTED = 5 * 3.25 * np.cos(1.0)


def test_the_second_time_it_is_loaded(folder, caplog):
    with caplog.at_level(logging.DEBUG, "pullback"):
        assert np.isclose(compute(), EXPECTED)
        (entry,) = entries(folder)
        assert np.isclose(compute(), EXPECTED)
    assert outcomes(caplog) == ["miss", "hit"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600
    assert sum("compiled jit" in r.getMessage() for r in caplog.records) == 1


def test_damage_anywhere_is_a_miss(folder):
    compute()
    (entry,) = entries(folder)
    good = entry.read_bytes()
    places = [0, 5, len(cache._MAGIC) + 1, len(cache._MAGIC) + 40, len(good) // 2, len(good) - 1]
    damaged = [good[:i] + bytes([good[i] ^ 0x40]) + good[i + 1 :] for i in places]
    damaged += [
        b"",
        good[:10],
        good[: len(cache._MAGIC) + 20],
        good[:-1],
        good[: len(good) // 2],
        good + b"x",
        os.urandom(2000),
    ]
    for contents in damaged:
        entry.write_bytes(contents)
        assert np.isclose(compute(), EXPECTED)
        assert entry.read_bytes()[: len(cache._MAGIC)] == cache._MAGIC  # compiled and written anew


def test_a_valid_checksum_of_rubbish_is_a_miss_too(folder, caplog):
    compute()
    (entry,) = entries(folder)
    cache.write(entry.stem, b"not an executable")
    assert np.isclose(compute(), EXPECTED)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions of POSIX")
@pytest.mark.parametrize("mode", [0o622, 0o606, 0o666])
def test_entries_that_others_may_write_are_not_read(folder, caplog, mode):
    compute()
    (entry,) = entries(folder)
    entry.chmod(mode)
    assert cache.read(entry.stem) is None
    assert np.isclose(compute(), EXPECTED)
    assert any("others own it" in r.getMessage() for r in caplog.records)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions of POSIX")
def test_a_directory_that_others_may_write_is_not_used(folder, caplog):
    folder.mkdir(mode=0o700)
    folder.chmod(0o777)
    assert np.isclose(compute(), EXPECTED) and not entries(folder)
    assert np.isclose(compute(), EXPECTED)
    assert sum("is not used" in r.getMessage() for r in caplog.records) == 1  # said once


def test_what_is_no_directory_and_links_are_not_used(folder, tmp_path):
    folder.write_text("a file")
    assert np.isclose(compute(), EXPECTED)
    folder.unlink()
    target = tmp_path / "target"
    target.mkdir()
    folder.symlink_to(target)
    assert np.isclose(compute(), EXPECTED) and not list(target.iterdir())
    folder.unlink()
    folder.mkdir(mode=0o700)
    compute()
    (entry,) = entries(folder)
    entry.rename(tmp_path / "moved")
    entry.symlink_to(tmp_path / "moved")
    assert cache.read(entry.stem) is None


def test_a_foreign_owner_is_refused(folder, monkeypatch):
    compute()
    (entry,) = entries(folder)
    monkeypatch.setattr(os, "getuid", lambda: entry.stat().st_uid + 1)
    assert cache.read(entry.stem) is None
    assert np.isclose(compute(), EXPECTED)


def test_a_full_disk_is_no_error(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert np.isclose(compute(), EXPECTED)
    assert not list(folder.iterdir())


def test_old_entries_make_room(folder):
    folder.mkdir(mode=0o700)
    names = [str(i) * 64 for i in range(6)]
    for i, name in enumerate(names):
        path = folder / f"{name}.xla"
        path.write_bytes(b"x" * 1000)
        os.utime(path, (i, i))
    with pb.config.option("compilation_cache_max_size")(-1):
        cache.sweep(folder)
        assert [p.stem for p in entries(folder)] == names
    with pb.config.option("compilation_cache_max_size")(3500):
        cache.sweep(folder)
        assert [p.stem for p in entries(folder)] == names[3:]
        cache.write("large", b"x" * 4000)
        assert len(entries(folder)) == 3


def test_files_that_are_not_of_the_cache_stay(folder):
    # Somebody may choose a directory that is used for other things too.
    folder.mkdir(mode=0o700)
    for name in ("thesis.txt", "addin.xla", ".profile", "9" * 64):
        (folder / name).write_bytes(b"x" * 5000)
        os.utime(folder / name, (0, 0))
    half_written, entry = folder / ".a1b2c3d_.xla", folder / f"{'f' * 64}.xla"
    for path in (half_written, entry):
        path.write_bytes(b"x" * 1000)
    os.utime(half_written, (1, 1))
    with pb.config.option("compilation_cache_max_size")(1500):
        cache.sweep(folder)
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        ["thesis.txt", "addin.xla", ".profile", "9" * 64, entry.name]
    )


def test_it_can_be_switched_off(folder):
    with pb.config.option("enable_compilation_cache")(False):
        compute()
    assert not folder.exists()


def test_the_place_in_the_source_does_not_matter_and_everything_else_does(folder):
    def f(x):
        return jnp.sin(x) * 2

    def g(x):
        return jnp.sin(x) * 2

    g.__name__ = "f"
    pb.jit(f)(1.0)
    count = len(entries(folder))
    pb.jit(g)(1.0)
    assert len(entries(folder)) == count
    pb.jit(lambda x: jnp.sin(x) * 3)(1.0)
    pb.jit(f, compiler_options={"xla_cpu_enable_fast_math": True})(1.0)
    assert len(entries(folder)) == count + 2


def test_programs_that_call_python_are_not_kept(folder):
    pb.jit(lambda x: pb.pure_callback(np.sin, pb.ShapeDtypeStruct((), "float32"), x))(1.0)
    assert not folder.exists() or not entries(folder)


def test_processes_share_it(tmp_path):
    """Two at once fill it, and lose nothing; a third one compiles nothing."""
    environment = {
        **os.environ, "PULLBACK_ENABLE_COMPILATION_CACHE": "1", "PULLBACK_COMPILATION_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }  # fmt: skip
    start = lambda: subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "8"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    both = [start(), start()]
    first, second = (p.communicate(timeout=120) for p in both)
    assert [p.returncode for p in both] == [0, 0], first[1] + second[1]
    numbers = lambda text: [line for line in text.splitlines() if line.replace(".", "").isdigit()]
    assert len(numbers(first[0])) == 8 and numbers(first[0]) == numbers(second[0])
    third = start().communicate(timeout=120)[0]
    assert numbers(third) == numbers(first[0])
    assert "hit for" in third and "compiled jit" not in third
    assert not [p for p in (tmp_path / "cache").iterdir() if p.suffix != ".xla"]


def test_an_entry_under_another_name_is_a_miss(folder):
    for factor in (2.0, 3.0):
        assert float(pb.jit(lambda x: x * factor)(2.0)) == 2 * factor
    first, second = (p.read_bytes() for p in entries(folder))
    one, two = entries(folder)
    one.write_bytes(second)
    two.write_bytes(first)
    for factor in (2.0, 3.0):
        pb.clear_caches()
        assert float(pb.jit(lambda x: x * factor)(2.0)) == 2 * factor


def in_another_process(folder, code: str, **env: str) -> str:
    env = {**os.environ, "PULLBACK_COMPILATION_CACHE_DIR": str(folder), "PULLBACK_ENABLE_COMPILATION_CACHE": "1", **env}
    code = f"import os, pullback as pb\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


PLAIN = "print(float(pb.jit(lambda x: x * 7. + 1)(2.)))"


def test_flags_count_as_xla_has_read_them(folder, tmp_path):
    flags = tmp_path / "flags"
    flags.write_text("--xla_backend_optimization_level=1\n")
    in_another_process(folder, PLAIN)
    late = "pb.jit(lambda x: x)(1.); os.environ['XLA_FLAGS'] = '--xla_backend_optimization_level=0'\n"
    in_another_process(folder, late + PLAIN)
    count = len(entries(folder))
    assert count == 2  # the flag came too late to mean anything
    for n, (text, setting) in enumerate(
        [
            (None, "--xla_backend_optimization_level=0"),
            ("--xla_backend_optimization_level=1\n", str(flags)),
            ("--xla_backend_optimization_level=2\n", str(flags)),
        ]
    ):
        if text:
            flags.write_text(text)
        for _ in range(2):
            assert in_another_process(folder, PLAIN, XLA_FLAGS=setting) == "15.0"
            assert len(entries(folder)) == count + n + 1


def pipe(path):
    os.mkfifo(path, 0o600)


def socket_at(path):
    import socket

    with socket.socket(socket.AF_UNIX) as s:
        s.bind(os.path.relpath(path))


def sparse(path):
    with open(path, "wb") as file:
        file.write(cache._MAGIC)
        file.truncate(1 << 40)


def unreadable(path):
    path.write_bytes(b"x")
    path.chmod(0)


@pytest.mark.parametrize(
    "make",
    [
        pipe, socket_at, sparse, unreadable, Path.mkdir, lambda p: p.symlink_to("/dev/zero"), lambda p: p.symlink_to(p),
        lambda p: (p.mkdir(), (p / "x").write_text("")), lambda p: p.symlink_to("/proc/self/mem"),
    ],
)  # fmt: skip
def test_nothing_that_stands_for_an_entry_stops_a_program(folder, make, monkeypatch):
    compute()
    (entry,) = entries(folder)
    entry.unlink()
    monkeypatch.chdir(folder)  # names of sockets are short
    make(entry)
    assert np.isclose(compute(), EXPECTED)
    assert np.isclose(compute(), EXPECTED)
    cache.sweep(folder)


@pytest.mark.parametrize(
    "name", ["a\0b", "/dev/null/x", "\udcff\udc00", "\ud800", "x" * 300, "/proc/x", "a/" * 3000, "\u00e9 \n", "{0} %s"]
)
def test_no_name_of_the_directory_stops_a_program(tmp_path, monkeypatch, name, caplog):
    monkeypatch.chdir(tmp_path)
    with pb.config.option("enable_compilation_cache")(True), pb.config.option("compilation_cache_dir")(name):
        assert np.isclose(compute(), EXPECTED)
        assert np.isclose(compute(), EXPECTED)


def test_without_a_home_directory_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setattr(os.path, "expanduser", lambda p: p)
    with pb.config.option("enable_compilation_cache")(True), pb.config.option("compilation_cache_dir")(None):
        assert cache.directory() is None
        assert np.isclose(compute(), EXPECTED)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", ["mkstemp", "replace", "write", "lstat", "utime"])
def test_failing_calls_of_the_system_are_misses(folder, monkeypatch, call):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    compute()
    if call == "write":
        monkeypatch.setattr(os, "fdopen", lambda d, *_: os.close(d) or fail())
    else:
        monkeypatch.setattr(cache.tempfile if call == "mkstemp" else os, call, fail)
    if call != "utime":
        entries(folder)[0].unlink()
    assert np.isclose(compute(), EXPECTED)
    monkeypatch.undo()
    assert len(list(folder.iterdir())) <= 1


def test_entries_may_go_while_others_read_them(folder):
    """Processes that read, write and sweep a directory of one entry's size at the same time."""
    code = """
pb.config.update("compilation_cache_max_size", 12_000)
for n in range(12):
    pb.clear_caches()
    y = float(pb.jit(lambda x: x * (n % 3 + 2.))(2.))
    assert y == 2 * (n % 3 + 2.), y
    from pullback.xla import cache
    cache.sweep(cache.directory())
print("right")
"""
    env = {**os.environ, "PULLBACK_COMPILATION_CACHE_DIR": str(folder), "PULLBACK_ENABLE_COMPILATION_CACHE": "1"}
    command = [sys.executable, "-c", f"import pullback as pb\n{code}"]
    running = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [p.communicate(timeout=100)[0].strip() for p in running] == ["right"] * 3
