"""What importing the package imports, and what its modules may import."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import pullback

PACKAGE = Path(pullback.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
LAZY = ["scipy", "jaxlib", "opt_einsum", "rich", "hypothesis", "jax"]


def fresh(program: str) -> str:
    """What a program prints in a process of its own."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_import_leaves_the_heavy_dependencies_alone() -> None:
    loaded = fresh("import sys, pullback; print(*{m.partition('.')[0] for m in sys.modules})").split()
    assert "numpy" in loaded
    assert not set(LAZY) & set(loaded)


def test_first_gradient_leaves_them_alone_too() -> None:
    program = """
import sys
import pullback as pb
import pullback.numpy as jnp
pb.grad(lambda x: jnp.sum(jnp.tanh(x @ x.T) ** 2))(jnp.ones((3, 3)))
print(*{m.partition('.')[0] for m in sys.modules})
"""
    assert not set(LAZY) & set(fresh(program).split())


def test_import_is_silent_and_warns_of_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import pullback"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_dependencies_are_imported_inside_functions(path: Path) -> None:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        top = {n.partition(".")[0] for n in names}
        if "rich" in top and "tour" in path.parts:
            continue  # the tour is a program that prints with it
        if top & set(LAZY) == {"jaxlib"} and path.name == "pjrt.py":
            continue  # the one module for jaxlib, which others import inside functions
        assert not top & set(LAZY), f"{path}:{node.lineno} imports {top & set(LAZY)} at module level"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_layers_below_do_not_import_the_public_namespace(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] not in ("core", "lax", "transforms", "numpy"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert "pullback" not in [a.name for a in node.names], f"{path}:{node.lineno}"


def _imports(file: Path, modules: set[str]) -> set[str]:
    """The package's modules that a file imports, also within functions, but not for types alone."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for_types = {
        id(x)
        for n in ast.walk(tree)
        if isinstance(n, ast.If) and isinstance(n.test, ast.Name) and n.test.id == "TYPE_CHECKING"
        for x in ast.walk(n)
    }
    found: set[str] = set()
    for n in ast.walk(tree):
        if isinstance(n, ast.ImportFrom) and n.module and id(n) not in for_types:
            found |= {x for a in n.names for x in (n.module, f"{n.module}.{a.name}")}
    return found & modules


def test_there_is_no_import_circle() -> None:
    root = Path(pullback.__file__).parent
    files = {".".join(("pullback", *f.relative_to(root).with_suffix("").parts)): f for f in root.rglob("*.py")}
    # A package's own module only lists names; who imports a module of it imports the module.
    files = {name: f for name, f in files.items() if f.name != "__init__.py"}
    sorter = TopologicalSorter({name: _imports(f, set(files)) - {name} for name, f in files.items()})
    sorter.prepare()  # raises CycleError, which names the circle


def test_no_two_files_have_names_that_differ_by_an_s() -> None:
    root = Path(pullback.__file__).parent
    # Distributions are modules with the names that SciPy gives them, and this one is a module of JAX's.
    given = {*(root / "scipy" / "stats").glob("*.py"), root / "extend" / "core" / "primitives.py"}
    names = {f.stem for f in root.rglob("*.py") if f not in given}
    assert not {n for n in names if f"{n}s" in names}


def test_signatures_name_their_things() -> None:
    """In signatures of the core, of transformations and of control flow, nothing is just `Any`:
    `core/names.py` has names for what it is."""
    found = []
    for path in SOURCES:
        if path.relative_to(PACKAGE).parts[0] in ("core", "transforms", "control"):
            for f in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(f, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    given = [x.annotation for x in ast.walk(f.args) if isinstance(x, ast.arg)]
                    found += [
                        f"{path}:{f.lineno}" for t in (*given, f.returns) if isinstance(t, ast.Name) and t.id == "Any"
                    ]
    assert not found


def test_names_of_signatures_are_loaded_by_no_program() -> None:
    assert "pullback.core.names" not in fresh("import sys, pullback.numpy; print(*sys.modules)").split()
