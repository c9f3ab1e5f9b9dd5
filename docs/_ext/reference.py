"""The reference: a page a module, written from signatures and docstrings before Sphinx reads the pages.

A page groups a module's names by purpose, which is the file that defines them: its first paragraph is
the group's heading. Docstrings are Markdown with doctests, so they are taken as they are.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import typing
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pullback.numpy.types import ScalarType

if TYPE_CHECKING:
    from sphinx.application import Sphinx  # tests read the list of pages, without Sphinx

#: The pages, by what they are for.
SECTIONS: dict[str, list[str]] = {
    "Derivatives and transformations": [
        "pullback",
        "pullback.derivatives",
        "pullback.custom_derivatives",
        "pullback.custom_batching",
        "pullback.ad_checkpoint",
        "pullback.checkpoint_policies",
        "pullback.stages",
    ],
    "Arrays": [
        "pullback.numpy",
        "pullback.numpy.linalg",
        "pullback.numpy.fft",
        "pullback.dtypes",
        "pullback.typing",
        "pullback.dlpack",
    ],
    "Operations and control flow": ["pullback.lax", "pullback.lax.linalg", "pullback.ops"],
    "Random numbers, networks, images": [
        "pullback.random",
        "pullback.nn",
        "pullback.nn.initializers",
        "pullback.image",
        "pullback.example_libraries.optimizers",
        "pullback.example_libraries.stax",
    ],
    "SciPy": [
        "pullback.scipy.special",
        "pullback.scipy.linalg",
        "pullback.scipy.stats",
        "pullback.scipy.signal",
        "pullback.scipy.fft",
        "pullback.scipy.ndimage",
        "pullback.scipy.integrate",
        "pullback.scipy.interpolate",
        "pullback.scipy.optimize",
        "pullback.scipy.cluster.vq",
        "pullback.scipy.spatial.transform",
        "pullback.scipy.sparse.linalg",
    ],
    "SciPy's distributions": [
        "pullback.scipy.stats.bernoulli",
        "pullback.scipy.stats.beta",
        "pullback.scipy.stats.betabinom",
        "pullback.scipy.stats.binom",
        "pullback.scipy.stats.cauchy",
        "pullback.scipy.stats.chi2",
        "pullback.scipy.stats.dirichlet",
        "pullback.scipy.stats.expon",
        "pullback.scipy.stats.gamma",
        "pullback.scipy.stats.gennorm",
        "pullback.scipy.stats.geom",
        "pullback.scipy.stats.gumbel_l",
        "pullback.scipy.stats.gumbel_r",
        "pullback.scipy.stats.laplace",
        "pullback.scipy.stats.logistic",
        "pullback.scipy.stats.multinomial",
        "pullback.scipy.stats.multivariate_normal",
        "pullback.scipy.stats.nbinom",
        "pullback.scipy.stats.norm",
        "pullback.scipy.stats.pareto",
        "pullback.scipy.stats.poisson",
        "pullback.scipy.stats.t",
        "pullback.scipy.stats.truncnorm",
        "pullback.scipy.stats.uniform",
        "pullback.scipy.stats.vonmises",
        "pullback.scipy.stats.wrapcauchy",
    ],
    "Trees": ["pullback.tree", "pullback.tree_util", "pullback.flatten_util"],
    "Programs, devices, other libraries": [
        "pullback.export",
        "pullback.ffi",
        "pullback.sharding",
        "pullback.memory",
        "pullback.distributed",
        "pullback.interop.scipy",
        "pullback.interop.torch",
    ],
    "Looking inside": [
        "pullback.errors",
        "pullback.debug",
        "pullback.experimental.checkify",
        "pullback.profiler",
        "pullback.test_util",
    ],
    "Experimental": [
        "pullback.experimental",
        "pullback.experimental.sparse",
        "pullback.experimental.ode",
        "pullback.experimental.jet",
        "pullback.experimental.buffer_callback",
        "pullback.experimental.layout",
        "pullback.experimental.multihost_utils",
        "pullback.experimental.pjit",
        "pullback.experimental.xla_metadata",
    ],
    "Extending": [
        "pullback.extend",
        "pullback.extend.core",
        "pullback.extend.linear_util",
        "pullback.extend.source_info_util",
        "pullback.extend.backend",
        "pullback.extend.random",
        "pullback.interpreters.ad",
        "pullback.interpreters.batching",
        "pullback.interpreters.mlir",
        "pullback.interpreters.partial_eval",
        "pullback.interpreters.pxla",
        "pullback.interpreters.xla",
        "pullback.api_util",
        "pullback.extend.public_core",
    ],
}


PRIMITIVES = "Primitives"


class Group(NamedTuple):
    """Names of a module that serve one purpose: a heading, what may be said under it (Markdown), and they."""

    heading: str
    text: str
    names: list[str]


def public_names(module: ModuleType) -> list[str]:
    """The names of a module that are for users: what it says in `__all__`, or exports from where it is defined."""
    stated = vars(module).get("__all__")
    if stated is not None:
        return list(stated)
    own = module.__name__
    package = hasattr(module, "__path__")
    names = []
    for name in dir(module):
        value = getattr(module, name)
        if name.startswith("_") or inspect.ismodule(value) or type(value).__module__ == "__future__":
            continue
        if getattr(value, "__module__", None) == "typing" and name in ("Any", "TYPE_CHECKING", "cast"):
            continue
        if package or getattr(value, "__module__", own) == own:
            names.append(name)
    return names


def groups(module: ModuleType) -> list[Group]:
    """A module's names by purpose: transformations first, the largest groups before smaller ones, options, constants
    and primitives last."""
    by_file: dict[str, list[str]] = {}
    for name in public_names(module):
        value = getattr(module, name)
        definer = getattr(value, "__module__", None)
        if name.endswith("_p") and hasattr(value, "bind"):
            definer = "primitives"
        elif not callable(value) or not str(definer).startswith("pullback") or _is_scalar_type(value):
            definer = "constants"
        by_file.setdefault(definer, []).append(name)
    last = ["pullback.core.config", "constants", "primitives"]
    order = lambda item: (
        last.index(item[0]) if item[0] in last else -1,
        not item[0].startswith("pullback.transforms"),
        -len(item[1]),
    )
    return [
        Group(*_purpose(definer, module, names), sorted(names, key=str.lower))
        for definer, names in sorted(by_file.items(), key=order)
    ]


def _is_scalar_type(value: object) -> bool:
    return isinstance(value, ScalarType) or (isinstance(value, type) and issubclass(value, np.generic))


def _purpose(definer: str, module: ModuleType, names: list[str]) -> tuple[str, str]:
    """What the file is for in which names are defined, as its docstring says: a heading, and a sentence under it."""
    if definer == "constants":
        return "Constants, types and makers of slices", ""
    if definer == "primitives":
        return PRIMITIVES, "The operations of programs, for those who read or rewrite them."
    if definer == "pullback.numpy":
        return (
            "Elementwise functions",
            "Universal functions: they broadcast, and have NumPy's methods (`reduce`, `outer`, ...).",
        )
    if definer == module.__name__:
        return "Functions and classes", ""
    whole = importlib.import_module(definer).__doc__ or definer
    text = " ".join(whole.split("\n\n")[0].split())
    heading, colon, _ = re.split(r"\.(?= |$)", text)[0].partition(": ")
    heading = heading[0].upper() + heading[1:]
    # Docstrings that leave the rest to "the module's text" have it above them.
    if any("module's text" in (inspect.getdoc(getattr(module, name)) or "") for name in names):
        return heading, markdown(whole)
    return heading, _escaped(text) if colon else ""


# ---- Markdown -------------------------------------------------------------------------------------------


def markdown(doc: str) -> str:
    """A docstring as MyST Markdown: doctests become blocks of code, indented programs too."""
    lines = inspect.cleandoc(doc).split("\n")
    out: list[str] = []
    i = 0
    while i < len(lines):
        line = lines[i]
        if line.lstrip().startswith(">>>"):
            block = []
            while i < len(lines) and lines[i].strip():
                block.append(lines[i])
                i += 1
            out += ["```pycon", *inspect.cleandoc("\n".join(block)).split("\n"), "```", ""]
        elif line.startswith("    ") and (not out or not out[-1].strip()):
            block = []
            while i < len(lines) and (lines[i].startswith("    ") or not lines[i].strip()):
                block.append(lines[i][4:])
                i += 1
            text = "\n".join(block).rstrip()
            out += [f"```{_language(text)}", *text.split("\n"), "```", ""]
        else:
            start = i
            while i < len(lines) and lines[i].strip() and not lines[i].lstrip().startswith(">>>"):
                i += 1
            i = max(i, start + 1)  # a blank line by itself
            out += _escaped("\n".join(lines[start:i])).split("\n")
    return "\n".join(out)


def _language(text: str) -> str:
    """What an indented block of a docstring is written in: a program, or commands and formulas."""
    try:
        ast.parse(text)
    except SyntaxError:
        return "text"
    return "python"


#: Code and the titles of books, the beginning of an item of a list, and what Markdown takes for a sign.
_TOKENS = re.compile(r"(`+[^`]*`+|(?<![\w*])\*[A-Z][^*`]*\*(?![\w*]))|(^\s*[*-] )|([*_<>$\[\]|{}])", re.MULTILINE)


def _escaped(text: str) -> str:
    """Running text in which what stands outside of code is no Markdown but lists: `x**2`, `*args`, `f'`, `<`."""
    return _TOKENS.sub(lambda m: f"\\{m[3]}" if m[3] else m[0], text)


def signature(value: Any) -> str:
    """How a thing is called, without annotations: what they would say is in the text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sig = inspect.signature(value)
    except (TypeError, ValueError):
        return "(...)"
    bare = [p.replace(annotation=p.empty, default=_Default(p.default)) for p in sig.parameters.values()]
    return str(sig.replace(parameters=bare, return_annotation=sig.empty))


class _Default:
    """A value as it is read: functions by their names, no addresses."""

    def __new__(cls, value: Any) -> Any:
        return value if value is inspect.Parameter.empty else super().__new__(cls)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        name = getattr(self.value, "__name__", None)
        text = name if isinstance(name, str) else repr(self.value)
        if self.value and isinstance(self.value, (set, frozenset)):
            # In one order, whatever the addresses of its elements are.
            text = f"{{{', '.join(sorted(map(repr, self.value)))}}}"
        return re.sub(r"<(.*?)>", r"\1", re.sub(r" at 0x[0-9a-f]+", "", text))


def entry(name: str, value: Any) -> Iterator[str]:
    """One name: how it is called, what it does; a class with its methods."""
    doc = inspect.getdoc(value) or ""
    if inspect.isclass(value) and value.__module__.split(".")[0] == "numpy":
        # NumPy's manual says what they are, in another markup.
        yield f":::{{py:data}} {name}"
        yield from _body(f"NumPy's `{value.__module__}.{value.__qualname__}`.")
        yield ":::"
    elif inspect.isclass(value):
        yield f"::::{{py:class}} {name}{_constructor(value)}"
        yield from _body(value.__doc__ or "")
        for member, method in sorted(vars(value).items()):
            target = method.__func__ if isinstance(method, (classmethod, staticmethod)) else method
            text = inspect.getdoc(target)
            if member.startswith("_") or not text or not (callable(target) or isinstance(target, property)):
                continue
            if inspect.isclass(target):  # an attribute that is a class, which has a text of its own
                continue
            kind = "property" if isinstance(target, property) else "method"
            yield f":::{{py:{kind}}} {member}{'' if kind == 'property' else signature(target)}"
            yield from _body(text)
            yield ":::"
            yield ""
        yield "::::"
    elif callable(value) and not isinstance(value, type):
        yield f":::{{py:function}} {name}{signature(value)}"
        yield from _body(doc)
        yield ":::"
    else:
        yield f":::{{py:data}} {name}"
        own = type(value).__module__.startswith("pullback")
        yield from _body(f"`{_Default(value)!r}`" if not own or not doc else doc)
        yield ":::"
    yield ""


def _constructor(cls: type) -> str:
    if issubclass(cls, BaseException) or (cls.__init__ is object.__init__ and cls.__new__ is object.__new__):
        return ""
    return signature(cls)


def _body(doc: str) -> Iterator[str]:
    yield ""
    yield markdown(doc)
    yield ""


def page(name: str) -> str:
    """The page of a module, as Markdown."""
    module = importlib.import_module(name)
    doc = (module.__doc__ or "").split("\n\n")
    pages = {page for section in SECTIONS.values() for page in section}
    lines = [f"# `{name}`", "", f":::{{py:module}} {name}", ":::", "", markdown("\n\n".join(doc)), ""]
    for group in groups(module):
        lines += [f"## {_escaped(group.heading)}", "", group.text, ""]
        if len(group.names) > 3 and group.heading != PRIMITIVES:
            links = [(n, f"{name}.{n}.md" if f"{name}.{n}" in pages else f"#{name}.{n}") for n in group.names]
            lines += [", ".join(f"[`{n}`]({place})" for n, place in links), ""]
        for n in (n for n in group.names if f"{name}.{n}" not in pages):  # what has a page of its own is there
            value = getattr(module, n)
            if group.heading == PRIMITIVES:
                kind = type(value)
                text = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
                lines += [f":::{{py:data}} {n}", "", _escaped(text), ":::", ""]
            elif value is Any or typing.get_origin(value) is not None:  # a type's name: its text is Python's
                lines += [f":::{{py:data}} {n}", "", f"`{value!r}`", ":::", ""]
            else:
                lines += entry(n, value)
    return "\n".join(lines) + "\n"


def overview() -> str:
    lines = ["# Reference", "", "Every public name, a page a module.", ""]
    for section, modules in SECTIONS.items():
        lines += [f"## {section}", ""]
        for name in modules:
            text = " ".join((importlib.import_module(name).__doc__ or "").split("\n\n")[0].split())
            lines.append(f"- [`{name}`]({name}.md): {_escaped(text)}")
        lines += ["", "```{toctree}", ":hidden:", ":maxdepth: 1", *modules, "```", ""]
    return "\n".join(lines)


def write_page(path: Path, text: str) -> None:
    """Only what has changed, so that Sphinx reads only that again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _write_pages(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    written = {"index.md"}
    write_page(folder / "index.md", overview())
    for modules in SECTIONS.values():
        for name in modules:
            write_page(folder / f"{name}.md", page(name))
            written.add(f"{name}.md")
    for path in folder.glob("*.md"):
        if path.name not in written:
            path.unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", _write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
