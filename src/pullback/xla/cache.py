"""The persistent compilation cache: executables on disk, so that a second process need not compile
what the first one did.

It is on by default, in a private directory (`config.compilation_cache_dir`; the user's cache
directory, if not set). An entry's name is the hash of everything that its contents depend on: the
program without source locations, the options, XLA's flags as XLA has read them, the versions of the
compiler and of this format, and the processor with its features. The name is in the entry, too,
under the checksum, so that a file that has come under another name is not taken for what it is not.
Loading an executable runs code, so an entry is looked at only if it is a regular file of this
user's that no one else may write to, in a directory of which the same holds, and if its checksum is
right. Anything else is a miss; nothing here raises or waits, whatever stands in the directory.
Entries appear by renaming, so processes that share the directory never see half of one.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import re
import stat
import tempfile
from functools import lru_cache
from pathlib import Path

from pullback.core.config import compilation_cache_dir, compilation_cache_max_size, enable_compilation_cache
from pullback.core.locks import new_lock
from pullback.xla import pjrt
from pullback.xla.placement import Placement

logger = logging.getLogger("pullback.compilation_cache")

_MAGIC = b"pullback executable 3\n"
_SUFFIX = ".xla"
#: Names of entries, and of what becomes one: of the files in the directory, these alone are ours to
#: remove.
_OURS = re.compile(r"[0-9a-f]{64}\.xla|\.[a-z0-9_]{8}\.xla")
_DIGEST = hashlib.sha256().digest_size
#: An entry begins with this, the checksum of the rest, the name and the length of the executable,
#: which is the rest.
_START = len(_MAGIC) + _DIGEST
_HEADER = _START + 2 * _DIGEST + 8
#: The directory is measured after the first write of a process, and then after every so many.
_WRITES_BETWEEN_SWEEPS = 64
_lock = new_lock(3, globals(), "_lock")
_writes = 0


def key(text: str, on: Placement, options: tuple[tuple[str, object], ...]) -> str:
    """The name under which the executable of a module (its text without locations) is kept."""
    digest = hashlib.sha256()
    for part in (
        _MAGIC.decode(),
        pjrt.VERSION,
        str(on),
        on.target.platform.version,
        _processor(),
        repr(options),
        os.environ.get("PJRT_NPROC", ""),
        text,
    ):
        digest.update(part.encode(errors="surrogatepass"))
        digest.update(b"\0")
    digest.update(pjrt.settings(on.target))
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _processor() -> str:
    """The processor's model and features: what code generated for this machine depends on."""
    try:
        with open("/proc/cpuinfo", errors="replace") as file:
            lines = [
                line
                for line in file.read().split("\n\n")[0].splitlines()
                if line.startswith(("model name", "flags", "Features"))
            ]
        return "\n".join(lines)
    except OSError:
        return f"{platform.machine()} {platform.processor()}"


def directory() -> Path | None:
    """The cache's directory, made if it is not there; None if there is none that is private to this
    user."""
    if not enable_compilation_cache.value:
        return None
    chosen = compilation_cache_dir.value
    if chosen:
        return _private(Path(chosen))
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # which is to be ignored then
        base = os.path.join(os.path.expanduser("~"), ".cache")
    path = Path(base) / "pullback" / "xla"
    return _private(path) if path.is_absolute() else _refuse(path, "there is no home directory")


_refused: set[Path] = set()


def _private(path: Path) -> Path | None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = os.lstat(path)
    except (OSError, ValueError) as error:  # ValueError: no file can have that name
        return _refuse(path, str(error))
    if not stat.S_ISDIR(status.st_mode):
        return _refuse(path, "it is not a directory")
    if not _is_ours(status):
        return _refuse(path, "others own it or may write to it")
    return path


def _refuse(path: Path, why: str) -> None:
    if path not in _refused:
        _refused.add(path)
        logger.warning(
            "The compilation cache %r is not used: %s. Programs are compiled anew in each process.", str(path), why
        )


def _is_ours(status: os.stat_result) -> bool:
    owner = getattr(os, "getuid", lambda: status.st_uid)()
    return status.st_uid == owner and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def read(name: str) -> bytes | None:
    """The executable kept under `name`; None if there is none that can be trusted."""
    folder = directory()
    if folder is None:
        return None
    path = folder / (name + _SUFFIX)
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):  # opening a pipe would wait for a writer
            return None
        with open(path, "rb", opener=_open_quickly) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or not _is_ours(status):
                logger.warning(
                    "The compilation cache entry %r is not used: others own it or may write to it.", str(path)
                )
                return None
            header = file.read(_HEADER)
            # The length first: a file of any size may stand here.
            contents = file.read() if header[-8:] == _length(status.st_size - _HEADER) else b""
            payload = contents if header == _header(name, contents) else None
            if payload is not None and os.utime in os.supports_fd:
                os.utime(file.fileno())  # the time of the last use
    except FileNotFoundError:
        return None
    except (OSError, MemoryError) as error:
        logger.debug("cannot read %r: %s", str(path), error)
        return None
    if payload is None:
        logger.warning("The compilation cache entry %r is damaged; it is removed.", str(path))
        forget(name)
    return payload


def _open_quickly(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _length(count: int) -> bytes:
    return max(count, 0).to_bytes(8, "little")


def _header(name: str, payload: bytes) -> bytes:
    bound = name.encode() + _length(len(payload))
    digest = hashlib.sha256(bound)
    digest.update(payload)
    return _MAGIC + digest.digest() + bound


def write(name: str, payload: bytes) -> None:
    """Keep an executable under `name`."""
    global _writes
    folder = directory()
    if folder is None or 0 <= compilation_cache_max_size.value < len(payload):
        return
    temporary = None
    try:
        # Readable and writable by this user only.
        descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=_SUFFIX, dir=folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_header(name, payload))
            file.write(payload)
        os.replace(temporary, folder / (name + _SUFFIX))
        temporary = None
    except OSError as error:
        logger.warning("The compiled program could not be kept in %r: %s", str(folder), error)
        return
    finally:
        if temporary is not None:
            _remove(Path(temporary))
    with _lock:
        _writes += 1
        sweep_now = _writes % _WRITES_BETWEEN_SWEEPS == 1
    if sweep_now:
        sweep(folder)


def forget(name: str) -> None:
    """Remove an entry."""
    folder = directory()
    if folder is not None:
        _remove(folder / (name + _SUFFIX))


def sweep(folder: Path) -> None:
    """Remove the least recently used entries until the others fit into
    `config.compilation_cache_max_size`."""
    limit = compilation_cache_max_size.value
    if limit < 0:
        return
    entries = []
    try:
        with os.scandir(folder) as listing:
            for entry in listing:
                if not _OURS.fullmatch(entry.name):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:  # another process was quicker
                    continue
                if stat.S_ISDIR(status.st_mode):
                    continue
                entries.append((status.st_mtime, status.st_size, Path(entry.path)))
    except OSError:
        return
    excess = sum(size for _, size, _ in entries) - limit
    for _, size, path in sorted(entries):
        if excess <= 0:
            return
        _remove(path)
        excess -= size


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("%r cannot be removed: %s", str(path), error)
