"""Settings of the documentation site (Sphinx with MyST Markdown)."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tools")]

import configuration
import reference
import repo

project = "esai"
author = "The esai developers"
copyright = author
extensions = ["myst_parser", "sphinx.ext.mathjax", "sphinx_copybutton"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "linkify"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "README.md"]
html_theme = "furo"
html_title = "esai"
html_static_path: list[str] = []
templates_path: list[str] = []
copybutton_prompt_text = "$ "
nitpicky = False
suppress_warnings = [
    "ref.python"
]  # classes of one name in two packages (State, Plan): either link is right enough
toc_object_entries_show_parents = "hide"

packages = repo.packages()
reference.write(HERE / "reference" / "generated", packages)
configuration.write(HERE / "reference" / "generated" / "config", packages)
