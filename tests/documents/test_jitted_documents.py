"""The documents' cells give the documented values with every function that they define jitted.

Each function that a cell defines, by `def`, by a lambda or by a call of a transformation, is replaced by its jitted version right after
its definition, so that all later cells use that. Functions of functions are jitted with those arguments static; the few that
nobody can jit are listed with the reason.
"""

from __future__ import annotations

import ast
import builtins
import io
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

import pullback as pb
from pullback import as_jax
from pullback.core import config
from pullback.tour.contents import documents
from pullback.tour.cookbook import CANCELLATION
from pullback.tour.documents import Cell, Value, compare, printed_numbers
from pullback.tour.notebook import Notebook, Result

SECTIONS = [(d.title, s.title) for d in documents() for s in d.sections]

#: Functions that take functions: the arguments that are static, by the function's name.
STATIC = {
    "hvp": "f",
    "vgrad": "f",
    "hvp_revfwd": "f",
    "hvp_revrev": "f",
    "loop_mjp": "f",
    "vmap_mjp": "f",
    "loop_jmp": "f",
    "vmap_jmp": "f",
}

#: Functions that cannot be jitted, by section and name, and why.
NOT_JITTED = {
    ("Jacobians and Hessians with jacfwd and jacrev", "hessian"): "gives a function",
    ("How jacfwd and jacrev are made", "our_jacrev"): "gives a function",
    ("How jacfwd and jacrev are made", "our_jacfwd"): "gives a function",
    ("How jacfwd and jacrev are made", "f"): "branches on its argument's value",
    ("Complex numbers", "check"): "prints a value, and asserts one",
}

#: Functions that the document defines and never calls, by section and name.
NEVER_CALLED = {
    ("Hessian-vector products with grad of grad", "hvp"),
    ("Complex numbers", "f"),  # the first of six: it refers to functions that are not there
    ("Complex numbers", "g"),
}

#: What the values' tolerances are multiplied by, by their notes: near t = 1, the document's tanh is one last bit above the exact value, and
#: XLA's (JAX 0.10.2's, that is) is one below.
WIDER = {CANCELLATION: 2.0}


def defined(statement: ast.stmt) -> str | None:
    """The name to which a statement may bind a function of the cell's own making."""
    if isinstance(statement, ast.FunctionDef):
        return statement.name
    if isinstance(statement, ast.Assign) and isinstance(statement.value, (ast.Lambda, ast.Call)):
        (target,) = statement.targets
        return target.id if isinstance(target, ast.Name) else None
    return None


class JittedNotebook(Notebook):
    """A notebook in which every function that a cell defines is jitted."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        #: The section whose cells are running.
        self.section = ""
        #: The jitted functions, with section and name, and the entries of the tables above that applied.
        self.jitted: list[tuple[str, str, Any]] = []
        self.used: set[Any] = set()
        self.namespace["__builtins__"] = vars(builtins) | {"__jitted": self.jit}

    def jit(self, name: str, value: Any) -> Any:
        if not callable(value):
            return value
        if (self.section, name) in NOT_JITTED:
            self.used.add((self.section, name))
            return value
        if name in STATIC:
            self.used.add(name)
        function = pb.jit(value, static_argnames=STATIC.get(name))
        self.jitted.append((self.section, name, function))
        return function

    def run(self, cell: Cell) -> str:
        tree = ast.parse(cell.code)
        body: list[ast.stmt] = []
        for statement in tree.body:
            body.append(statement)
            if name := defined(statement):
                body += ast.parse(f"{name} = __jitted({name!r}, {name})").body
        return super().run(Cell(ast.unparse(ast.Module(body, []))))


def wider(value: Value) -> Value:
    return replace(value, tolerance=value.tolerance * WIDER.get(value.note, 1.0))


@cache
def outcomes() -> tuple[dict[tuple[str, str], tuple[str, list[Result]]], list[JittedNotebook]]:
    """What each section prints and gives, and the notebooks."""
    found, notebooks = {}, []
    with config.enable_x64(False), config.threefry_partitionable(False):
        as_jax.install()
        try:
            for document in documents():
                notebook = JittedNotebook(document.title)
                notebooks.append(notebook)
                for section in document.sections:
                    notebook.section = section.title
                    printed, results = "", []
                    for cell in section.cells:
                        printed += notebook.run(cell)
                        results += [notebook.evaluate(wider(value), measure=False) for value in cell.values]
                        for timing in cell.timings:
                            eval(timing.statement, notebook.namespace)
                    found[document.title, section.title] = printed, results
        finally:
            as_jax.uninstall()
    return found, notebooks


@pytest.mark.parametrize("document, section", SECTIONS)
def test_every_value_is_the_documented_one(document, section):
    printed, results = outcomes()[0][document, section]
    for r in results:
        assert r.agrees, (
            f"{r.value.expression}: {r.text} is {r.difference:.2g} from the documented {r.value.documented}"
        )
    numbers = printed_numbers(printed)
    for r in results:
        if r.value.printed:
            documented = printed_numbers(r.value.documented)
            ours, numbers = numbers[: len(documented)], numbers[len(documented) :]
            assert compare(ours, documented, r.value.tolerance)[0], f"{r.value.expression} printed {ours}"
    assert not numbers, f"printed besides the documented values: {numbers}"


def test_functions_are_compiled_and_no_exception_is_needless():
    notebooks = outcomes()[1]
    used = set().union(*(n.used for n in notebooks))
    assert used == {*NOT_JITTED, *STATIC}
    jitted = [entry for n in notebooks for entry in n.jitted]
    # (What is traced for static arguments that are functions is kept with these.)
    idle = {(section, name) for section, name, function in jitted if not function._entries and name not in STATIC}
    assert idle == {(section, name) for section, name in NEVER_CALLED if name not in STATIC}
    names = {name for _, name, _ in jitted}
    assert {"sigmoid", "predict", "loss", "loss2", "grad_tanh", "dfdx", "d4fdx", "f", "predict_dict", *STATIC} <= names


def test_what_is_not_jitted_could_not_be():
    """Jitted, the functions in the table fail, or print no value."""
    tried = set()
    with config.enable_x64(False), config.threefry_partitionable(False):
        as_jax.install()
        try:
            for document in documents():
                notebook = Notebook(document.title)
                for section in document.sections:
                    for cell in section.cells:
                        notebook.run(cell)
                        names = {defined(statement) for statement in ast.parse(cell.code).body}
                        for name in names:
                            if (section.title, name) in NOT_JITTED:
                                assert not runs_jitted(name, notebook.namespace)
                                tried.add((section.title, name))
        finally:
            as_jax.uninstall()
    assert tried == set(NOT_JITTED)


def runs_jitted(name: str, namespace: dict[str, Any]) -> bool:
    """Whether a function of `NOT_JITTED`, jitted, runs on an argument of its, and shows no tracer."""
    argument = {"check": 0, "f": 4.0}.get(name, namespace["f"])
    with redirect_stdout(io.StringIO()) as out:
        try:
            pb.jit(namespace[name], static_argnums=0 if callable(argument) else None)(argument)
        except (TypeError, ValueError):
            return False
    return "Traced" not in out.getvalue()
