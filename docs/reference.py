"""Write the reference pages of every package from its sources, without importing it.

The sources are read by griffe, so the site needs none of the packages' dependencies, and a new module has
its page at the next build. NumPy docstrings become reStructuredText by Sphinx's own napoleon.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import indent
from typing import Any, Literal, cast

import griffe
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import NumpyDocstring

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import repo

NAPOLEON = Config(napoleon_use_ivar=True, napoleon_use_rtype=False)


LITERAL = re.compile(r"(``.+?``|:\w+:`[^`]+`|`[^`]+`)|\|")


def absolute(text: str) -> str:
    """Escape the bars of ``|x - y|`` in running text, which reStructuredText takes for a substitution."""
    lines: list[str] = []
    block: int | None = None  # indentation of the literal or math block that we are in
    for line in text.splitlines():
        depth = len(line) - len(line.lstrip())
        if line.strip() and block is not None and depth <= block:
            block = None
        if block is None and not line.lstrip().startswith(("|", "+")):
            lines.append(LITERAL.sub(lambda found: found[1] or r"\|", line))
        else:
            lines.append(line)
        if block is None and (line.rstrip().endswith("::") or line.lstrip().startswith(".. math::")):
            block = depth
    return "\n".join(lines)


def body(text: griffe.Docstring | None, what: Literal["module", "class", "function", "attribute"]) -> str:
    """Turn a NumPy docstring into reStructuredText; empty where there is none."""
    if text is None:
        return ""
    made = str(NumpyDocstring(absolute(text.value), cast(Any, NAPOLEON), what=what))
    # A section "Methods" names what is described again below: no second target for it.
    return re.sub(r"^( *)\.\. method:: .*$", r"\g<0>\n\1   :no-index:", made, flags=re.M)


def signature(function: griffe.Function, *, bound: bool) -> str:
    """Spell the parameters and the result of a function; `bound` leaves ``self`` or ``cls`` out."""
    shown: list[str] = []
    kinds = griffe.ParameterKind
    star = False
    parameters = list(function.parameters)[1 if bound else 0 :]
    for position, parameter in enumerate(parameters):
        if parameter.kind is kinds.keyword_only and not star:
            shown.append("*")
            star = True
        mark = {kinds.var_positional: "*", kinds.var_keyword: "**"}.get(
            parameter.kind or kinds.positional_only, ""
        )
        star = star or mark == "*"
        text = f"{mark}{parameter.name}"
        if parameter.annotation is not None:
            text += f": {parameter.annotation}"
        if parameter.default is not None and not mark:
            text += f" = {parameter.default}" if parameter.annotation is not None else f"={parameter.default}"
        shown.append(text)
        following = parameters[position + 1].kind if position + 1 < len(parameters) else None
        if parameter.kind is kinds.positional_only and following is not kinds.positional_only:
            shown.append("/")
    result = f" -> {function.returns}" if function.returns is not None else ""
    return f"({', '.join(shown)}){result}"


def block(directive: str, heading: str, content: str) -> str:
    """Write one reStructuredText directive with its content."""
    return f".. py:{directive}:: {heading}\n\n{indent(content.strip(), '   ')}\n\n"


def public(module: griffe.Module | griffe.Class) -> Iterator[griffe.Object]:
    """Yield what a module or class defines for its users, in the order of the source."""
    exported = {str(name) for name in module.exports or ()}
    for name, member in module.members.items():
        if member.is_alias or name.startswith("_") or (exported and name not in exported):
            continue
        yield cast(griffe.Object, member)


def describe(item: griffe.Object) -> str:
    """Describe a function, class or documented constant."""
    if isinstance(item, griffe.Function):
        if item.docstring is None:
            return ""
        inside = isinstance(item.parent, griffe.Class)
        bound = inside and "staticmethod" not in item.labels
        marks = [label for label in ("classmethod", "staticmethod") if label in item.labels]
        options = "".join(f":{mark}:\n" for mark in marks) + ("\n" if marks else "")
        heading = f"{item.name}{signature(item, bound=bound)}"
        return block("method" if inside else "function", heading, options + body(item.docstring, "function"))
    if isinstance(item, griffe.Class):
        fields = [f"{parameter.name}" for parameter in list(item.parameters)[1:]]
        heading = f"{item.name}({', '.join(fields)})" if fields else item.name
        members = "".join(describe(member) for member in public(item) if not isinstance(member, griffe.Class))
        return block("class", heading, f"{body(item.docstring, 'class')}\n\n{members}")
    if isinstance(item, griffe.Attribute) and item.docstring is not None:
        inside = isinstance(item.parent, griffe.Class)
        kind = "property" if "property" in item.labels else "attribute" if inside else "data"
        return block(kind, item.name, body(item.docstring, "attribute"))
    return ""


def modules(module: griffe.Module) -> Iterator[griffe.Module]:
    """Yield a module and the public modules below it."""
    yield module
    for name, member in sorted(module.modules.items()):
        if not member.is_alias and not name.startswith("_"):
            yield from modules(member)


def titled(text: str) -> str:
    """Write a page's title."""
    return f"{text}\n{'=' * len(text)}\n\n"


def page(module: griffe.Module) -> str:
    """Write the page of one module."""
    head = f".. py:module:: {module.path}\n\n{body(module.docstring, 'module')}\n\n"
    return (
        titled(module.path)
        + head
        + "".join(describe(item) for item in public(module) if not isinstance(item, griffe.Module))
    )


def write(target: Path, packages: Iterable[repo.Package]) -> None:
    """Write the pages of `packages` into `target`, which is emptied first."""
    shutil.rmtree(target, ignore_errors=True)
    for package in packages:
        folder = target / package.name
        folder.mkdir(parents=True)
        root = cast(griffe.Module, griffe.load(package.module, search_paths=[str(package.folder / "src")]))
        paths = []
        for module in modules(root):
            if any(
                isinstance(item, griffe.Function | griffe.Class | griffe.Attribute) for item in public(module)
            ):
                (folder / f"{module.path}.rst").write_text(page(module), "utf-8")
                paths.append(module.path)
        summary = package.metadata["project"]["description"]
        listed = "\n".join(f"   {path}" for path in paths)
        contents = f"{summary}\n\n.. toctree::\n   :maxdepth: 1\n\n{listed}\n"
        (folder / "index.rst").write_text(titled(package.name) + contents, "utf-8")
