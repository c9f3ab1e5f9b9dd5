"""`pullback.as_jax`: the name `jax` means Pullback, and programs start as they do under `python`.

Each check runs in a fresh interpreter: what is imported is a property of a process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SOURCE = str(Path(__file__).resolve().parents[1] / "src")


def python(*arguments: str, cwd: Path, stdin: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the interpreter in `cwd`, with Pullback importable and the given environment variables added."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "PULLBACK_"))}
    environment |= {"PYTHONPATH": SOURCE, "PYTHONDONTWRITEBYTECODE": "1", **variables}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def as_jax(code: str, cwd: Path, **variables: str) -> str:
    """What `code` prints when run with `jax` meaning Pullback. It must succeed."""
    done = python("-m", "pullback.as_jax", "-c", code, cwd=cwd, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- the alias --------------------------------------------------------------------------------------------------

IMPORTS = """
import jax, pullback
import jax.numpy as jnp
import jax.numpy.linalg
from jax import lax, grad, random, tree_util
from jax.test_util import check_grads
assert grad is pullback.grad and jax.jvp is pullback.jvp
assert check_grads is pullback.test_util.check_grads
assert jnp is jax.numpy and repr(jnp) == "<module 'jax.numpy', alias of 'pullback.numpy'>"
assert jax.numpy.linalg.cholesky is pullback.numpy.linalg.cholesky
assert float(jax.grad(jnp.sin)(0.0)) == 1.0
assert tuple(map(int, jax.__version__.split("."))) == jax.__version_info__
import importlib.util, types
assert isinstance(jax, types.ModuleType) and importlib.util.find_spec("jax.random") is not None
assert "grad" in dir(jax) and "xla" not in dir(jax) and "sin" in dir(jnp)
scope = {}
exec("from jax.numpy import *", scope)
assert scope["sin"] is pullback.numpy.sin
"""


def test_jax_names_are_pullbacks(tmp_path):
    as_jax(IMPORTS, tmp_path)


LACKS = """
import jax, jax.numpy as jnp
def error(statement):
    try:
        exec(statement, {"jax": jax, "jnp": jnp})
    except Exception as e:
        return f"{type(e).__name__}: {e}"
    raise AssertionError(statement)
print(error("jnp.no_such_function"))
print(error("jax.no_such_function"))
print(error("from jax import no_such_function"))
print(error("import jax.no_such_module"))
print(error("import jax.numpy.no_such_module.deeper"))
print(error("import jax._src.core"))
print(error("jax.control"))
print(error("from jax import transforms"))
print(hasattr(jax, "as_jax"), hasattr(jnp, "np"), hasattr(jnp, "dtypes"))
"""


def test_what_is_missing_is_missing_under_its_jax_name(tmp_path):
    lines = as_jax(LACKS, tmp_path).splitlines()
    assert lines[0].startswith("AttributeError: module 'jax.numpy' has no attribute 'no_such_function'")
    assert lines[1].startswith("AttributeError: module 'jax' has no attribute 'no_such_function'")
    assert lines[2].startswith("ImportError: cannot import name 'no_such_function' from 'jax'")
    assert lines[3] == "ModuleNotFoundError: No module named 'jax.no_such_module'"
    assert lines[4] == "ModuleNotFoundError: No module named 'jax.numpy.no_such_module'"
    assert lines[5] == "ModuleNotFoundError: No module named 'jax._src'"
    assert lines[6].startswith("AttributeError: module 'jax' has no attribute 'control'")
    assert lines[7].startswith("ImportError: cannot import name 'transforms' from 'jax'")
    assert lines[8] == "False False False"


def test_an_assignment_to_the_alias_leaves_pullback_alone(tmp_path):
    as_jax(
        "import jax.numpy as jnp, pullback\njnp.sin = 3\nassert jnp.sin == 3 and callable(pullback.numpy.sin)", tmp_path
    )


def test_install_hides_an_installed_jax_until_uninstall(tmp_path):
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "__init__.py").write_text("real = True\n")
    (tmp_path / "jax" / "numpy.py").write_text("")
    code = """
from pullback import as_jax
as_jax.install()
as_jax.install()
import jax.numpy
assert not hasattr(jax, "real")
as_jax.uninstall()
as_jax.uninstall()
import jax, jax.numpy
assert jax.real
try:
    as_jax.install()
except RuntimeError as error:
    assert "already imported" in str(error) and "__init__.py" in str(error), error
else:
    raise AssertionError("install() must refuse")
assert jax.real
"""
    done = python("-c", code, cwd=tmp_path, PYTHONPATH=f"{SOURCE}{os.pathsep}{tmp_path}")
    assert done.returncode == 0, done.stderr


SETTINGS = "import jax; c = jax.config; print(c.jax_enable_x64, c.jax_threefry_partitionable, c.jax_debug_nans, c.jax_disable_jit)"


def test_jax_environment_variables_set_options(tmp_path):
    variables = {
        "JAX_ENABLE_X64": "1",
        "JAX_THREEFRY_PARTITIONABLE": "true",
        "JAX_DEBUG_NANS": "True",
        "JAX_DISABLE_JIT": "on",
    }
    assert as_jax(SETTINGS, tmp_path).split() == ["False"] * 4
    assert as_jax(SETTINGS, tmp_path, **variables).split() == ["True"] * 4
    assert as_jax(SETTINGS, tmp_path, JAX_ENABLE_X64="1", PULLBACK_ENABLE_X64="0").split()[0] == "False"
    refused = python("-m", "pullback.as_jax", "-c", "", cwd=tmp_path, JAX_ENABLE_X64="maybe")
    assert refused.returncode == 1
    assert "'maybe' is not a truth value" in refused.stderr


# ---- the command ------------------------------------------------------------------------------------------------

REPORT = """
import sys
print(sys.argv, __name__, sys.path[0], globals().get("__file__"), __package__, type(__spec__).__name__)
print(sys.modules["__main__"].__dict__ is globals(), sys.stdin.read())
def fail():
    raise ENDING
fail()
"""
ENDINGS = ["SystemExit(3)", "SystemExit('a message')", "ValueError('reason') from KeyError(1)", "KeyboardInterrupt"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_script_runs_as_under_python(tmp_path, ending):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "program.py").write_text(REPORT.replace("ENDING", ending))
    arguments = ("folder/program.py", "-x", "--", "y z")
    plain = python(*arguments, cwd=tmp_path, stdin="input")
    ours = python("-m", "pullback.as_jax", *arguments, cwd=tmp_path, stdin="input")
    assert (ours.stdout, ours.stderr, ours.returncode) == (plain.stdout, plain.stderr, plain.returncode)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-m", "package", "a"),
        ("-m", "package.module", "-c"),
        ("-m", "package.empty"),
        ("-m", "package.broken"),
        ("-c", "import sys; print(sys.argv, repr(sys.path[0]), __name__); sys.exit(5)", "b"),
        ("-c", "not python"),
        ("archive.zip", "c"),
        ("missing.py",),
        ("-", "d"),
        ("-m", "package.missing"),
    ],
    ids=str,
)
def test_other_programs_run_as_under_python(tmp_path, arguments):
    report = REPORT.replace("raise ENDING", "sys.exit(4)")
    (tmp_path / "package" / "empty").mkdir(parents=True)
    for name, text in {
        "__init__": "",
        "__main__": report,
        "module": report,
        "empty/__init__": "",
        "broken": "import nowhere",
    }.items():
        (tmp_path / "package" / f"{name}.py").write_text(text)
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", report)
    stdin = "print('from standard input')" if arguments[0] == "-" else ""
    plain = python(*arguments, cwd=tmp_path, stdin=stdin)
    ours = python("-m", "pullback.as_jax", *arguments, cwd=tmp_path, stdin=stdin)
    assert (ours.stdout, ours.returncode) == (plain.stdout, plain.returncode)
    # Python's own start of a module or archive shows frames of its machinery in tracebacks; ours shows none.
    machinery = arguments[0] in ("-m", "archive.zip")
    shown = [line for line in plain.stderr.splitlines() if not (machinery and "<frozen " in line)]
    assert ours.stderr.splitlines() == shown


def test_help_and_missing_arguments(tmp_path):
    shown = python("-m", "pullback.as_jax", "--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert "script.py" in shown.stdout
    assert python("-m", "pullback.as_jax", cwd=tmp_path).returncode == 2
    assert python("-m", "pullback.as_jax", "-m", cwd=tmp_path).returncode == 2


def test_safe_path(tmp_path):
    """With -P nothing is put before the first entry of sys.path."""
    (tmp_path / "program.py").write_text("import sys; print(sys.path[0] == sys.argv[1])")
    assert python("-P", "-m", "pullback.as_jax", "program.py", SOURCE, cwd=tmp_path).stdout == "True\n"


NAMES = """
import importlib, pkgutil, types
import pullback
from pullback import as_jax
import jax
for m in pkgutil.walk_packages(pullback.__path__, "pullback."):
    inside = m.name.removeprefix("pullback.")
    if inside.endswith("__main__"):
        continue
    try:
        importlib.import_module("jax." + inside)
    except ImportError:
        assert inside not in as_jax.MODULES, inside
        outer, _, last = inside.rpartition(".")
        if not outer or outer in as_jax.MODULES:
            shown = getattr(importlib.import_module("jax." + outer if outer else "jax"), last, None)
            assert not isinstance(shown, types.ModuleType), inside  # a function may have its module's name
    else:
        assert inside in as_jax.MODULES, inside
for inside in sorted(as_jax.MODULES | {""}):
    alias = importlib.import_module(("jax." + inside).rstrip("."))
    for name in dir(alias):
        value = getattr(alias, name)
        if not name.startswith("__"):
            assert not name.startswith("_"), (inside, name)
            assert not isinstance(value, types.ModuleType) or value.__name__.removeprefix("jax.") in as_jax.MODULES, (inside, name)
for name in ("fixed_point", "root", "argmin", "LinearMap", "implicit", "control", "xla", "transforms", "device", "tour"):
    assert not hasattr(jax, name), name
print(len(dir(jax)))
"""


def test_the_alias_shows_public_names_only(tmp_path: Path) -> None:
    """Every module and every name of the package, under its name in the alias: what is not public is not there."""
    assert int(as_jax(NAMES, tmp_path)) > 70


OWN = """
import types
import pullback
from pullback import as_jax
own = {"LinearMap", "argmin", "fixed_point", "root"} | {n for n, where in pullback._LATER.items() if where == "derivatives"}
names = {n for n in dir(pullback) if not n.startswith("_") and not isinstance(getattr(pullback, n), types.ModuleType)}
print(names - {"annotations"} ^ (as_jax.NAMES | own))
"""


def test_a_new_name_is_said_to_be_jaxs_or_our_own(tmp_path: Path) -> None:
    assert as_jax(OWN, tmp_path).strip() == "set()"
