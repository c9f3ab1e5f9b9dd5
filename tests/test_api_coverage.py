"""No public name is lost, and the tool that says so sees what it should."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

_TOOL = Path(__file__).parent.parent / "tools" / "api_coverage.py"


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("api_coverage", _TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["api_coverage"] = module  # NamedTuple looks its module up
    spec.loader.exec_module(module)
    return module


def test_nothing_is_lost(capsys):
    status = _tool().main([])
    assert status == 0, capsys.readouterr().out[-2000:]


def test_what_is_left_out_is_a_name_and_is_not_there():
    tool = _tool()
    names = {*map(str, tool.surface()), *tool.usage()}
    for pattern in tool.left_out():
        assert any(tool.matches(n, [pattern]) for n in names), pattern
        assert pattern.endswith(".*") or tool.fault(tool.Name(*pattern.rsplit(".", 1), None)) == "missing", pattern


def test_signatures_are_compared():
    fault = _tool().fault_of_parameters

    def parameters(f):
        return list(inspect.signature(f).parameters.values())

    wanted = ("x", "axis=", "*", "where=")
    assert fault(wanted, parameters(lambda x, axis=None, *, where=None, more=1: 0)) is None
    assert fault(wanted, parameters(lambda *args, **kwargs: 0)) is None
    assert fault(wanted, parameters(lambda x, /, axis=None, *, where=None: 0)) == "x"
    assert fault(wanted, parameters(lambda x, axis, *, where=None: 0)) == "axis must be given"
    assert fault(wanted, parameters(lambda x, axis=None: 0)) == "where"
    assert fault(wanted, parameters(lambda x, axis=None, *, where=None, dtype: 0)) == "dtype must be given"
    assert fault(("x", "/", "*ys"), parameters(lambda y, /, *ys: 0)) is None
    assert fault(("x", "**named"), parameters(lambda x: 0)) == "**named"
