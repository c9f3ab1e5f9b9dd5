"""The gallery: a page a program, with what it found and drew, written before Sphinx reads the pages.

Programs are run while the site is built, in small sizes unless GALLERY=full; what they found is kept as long as neither
they nor the package changes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reference import write_page
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging

logger = logging.getLogger(__name__)
ROOT = Path(__file__).parents[2]
#: Whether programs run in their full sizes.
FULL = os.environ.get("GALLERY") == "full"


def _outcome(name: str, store: Path) -> tuple[str, Path]:
    """What a program printed, and its figure."""
    said, figure = store / f"{name}.txt", store / f"{name}.svg"
    if not (said.exists() and figure.exists()):
        logger.info("running the example %s", name)
        small = [] if FULL else ["--small"]
        command = [sys.executable, "-m", "examples", name, "--figures", str(store), *small]
        done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise ExtensionError(f"the example {name} failed:\n{done.stdout}\n{done.stderr}")
        said.write_text(done.stdout, encoding="utf-8")
    lines = said.read_text(encoding="utf-8").splitlines()
    return "\n".join(line.strip() for line in lines[1:] if line.startswith("  ") and ".svg" not in line), figure


def _page(name: str, title: str, text: str, source: str, said: str) -> str:
    return f"""# {title}

{text}

```{{image}} {name}.svg
:alt: {title}
:class: figure
```

What it says when it is run (`python -m examples {name}{"" if FULL else " --small"}`), each number beside what it should be:

```text
{said}
```

```{{code-block}} python
:caption: examples/{name}.py
{source}
```
"""


def _write_pages(app: Sphinx) -> None:
    from examples.gallery import examples

    digest = Path(app.config.nb_execution_cache_path).name
    store = ROOT / "build" / "docs-gallery" / (digest + ("" if FULL else "-small"))
    folder = Path(app.srcdir) / "gallery"
    folder.mkdir(exist_ok=True)
    cards, names = [], []
    there = examples()
    # As many at once as there are cores: each uses one most of the time.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(lambda example: _outcome(example.name, store), there))
    for example, (said, figure) in zip(there, outcomes):
        write_page(folder / f"{example.name}.svg", figure.read_text(encoding="utf-8"))
        source = example.path.read_text(encoding="utf-8")
        source = source.split('"""', 2)[2].strip() if source.startswith('"""') else source
        write_page(folder / f"{example.name}.md", _page(example.name, example.title, example.text, source, said))
        cards.append(
            f":::{{grid-item-card}} {example.title}\n:link: {example.name}\n:link-type: doc\n:img-top: {example.name}.svg\n:::\n"
        )
        names.append(example.name)
    index = ["# Gallery", "", "Programs that solve something real, each checked against a value that is known or computed otherwise.",
             "They are in the folder `examples`: `python -m examples` lists them.", "",
             "::::{grid} 1 2 2 2", ":gutter: 3", "", *cards, "::::", "",
             "```{toctree}", ":hidden:", ":maxdepth: 1", *names, "```", ""]  # fmt: skip
    write_page(folder / "index.md", "\n".join(index))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", _write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
