"""How Sphinx builds the site: `make docs`.

Chapters are Markdown; their cells are run while the site is built (MyST-NB), and a cell that fails
fails the build. What cells gave is kept as long as neither the page nor the package changes. The
pages of the reference and of the gallery are written by the extensions beside this file.
"""

import hashlib
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE / "_ext"), str(ROOT)]

import pullback

project = "Pullback"
author = "the founders of Pullback"
copyright = "the founders of Pullback"
version = release = pullback.__version__

extensions = ["myst_nb", "sphinx_copybutton", "sphinx_design", "reference", "gallery_pages", "names", "mathml"]
exclude_patterns = ["_build", "_ext", "accuracy.svg"]
source_suffix = {".md": "myst-nb"}
master_doc = "index"
language = "en"
nitpicky = False
show_warning_types = True
# What is said of types in signatures is said in words.
autodoc_typehints = "none"
add_module_names = False
python_maximum_signature_line_length = 88
toc_object_entries = False

# ---- Markdown -----------------------------------------------------------------------------------------

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist", "attrs_inline", "attrs_block", "fieldlist"]
myst_heading_anchors = 4
myst_dmath_double_inline = True
suppress_warnings = ["myst.strikethrough"]

# ---- cells ----------------------------------------------------------------------------------------------


def _digest() -> str:
    """Names what cells compute with, so that what they gave is given again only as long as it is true."""
    digest = hashlib.sha256()
    for folder in (ROOT / "src" / "pullback", ROOT / "examples"):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    digest.update((ROOT / "requirements" / "docs.txt").read_bytes())
    digest.update((ROOT / "requirements" / "dev.txt").read_bytes())
    return digest.hexdigest()[:16]


nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "build" / "docs-cells" / _digest())
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
# Texts as a terminal shows them; pictures where there are any.
nb_mime_priority_overrides = [("html", "image/png", 1), ("html", "image/svg+xml", 2), ("html", "text/plain", 5)]
nb_kernel_rgx_aliases = {".*": "python3"}
# Cells run with nothing of the builder's settings, and warnings in them are errors.
for name in [n for n in os.environ if n.startswith(("PULLBACK_", "JAX_"))]:
    del os.environ[name]
os.environ["PYTHONPATH"] = str(ROOT)
os.environ["MPLCONFIGDIR"] = str(ROOT / "build" / "matplotlib")

# ---- pages ----------------------------------------------------------------------------------------------

html_theme = "furo"
html_title = "Pullback"
html_static_path = ["_static"]
html_css_files = ["pullback.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#0a5c8f", "color-brand-content": "#0a5c8f"},
    "dark_css_variables": {"color-brand-primary": "#7cc4f0", "color-brand-content": "#7cc4f0"},
}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
