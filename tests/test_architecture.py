"""The chapter *How to add* of docs/architecture.md: its examples run, one after the other, in a process of their own."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_examples_of_how_to_add():
    chapter = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("## 21. How to add")[-1]
    examples = re.findall(r"```python\n(.*?)```", chapter, flags=re.DOTALL)
    assert len(examples) == chapter.count("### ") == 6
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(examples)], capture_output=True, encoding="utf-8", timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
