"""docs/extending.md runs as it stands."""

import doctest
from pathlib import Path


def test_the_document_runs():
    path = Path(__file__).parents[2] / "docs" / "extending.md"
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testfile(str(path), module_relative=False, optionflags=options)
    assert result.attempted > 40 and not result.failed
