"""Write the tables of every config key and of every score, from the sources, without importing them.

A config is a subclass of `esai_core.config.Config`, its tables are subclasses of `Section`; what stands
below a key is its meaning. The scores are those that `esai_core.verify.registry` declares.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import griffe

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import repo

BASES = {"Config", "Section"}
BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "min_length": "at least", "max_length": "at most"}
KINDS = {
    "value": "a value or ensemble mean",
    "ensemble": "the members",
    "event_probability": "the probability of an event",
    "event": "the yes or no of an event",
    "categories": "probabilities of ordered categories",
}
BETTER = {1: "higher", -1: "lower", 0: "nearer to the perfect value"}
Sections = dict[str, griffe.Class]


def sections(module: griffe.Module) -> Sections:
    """Find the classes below a module that are configs or tables of one, by name."""
    every: Sections = {}
    waiting: list[griffe.Module] = [module]
    while waiting:
        current = waiting.pop()
        waiting += [inner for inner in current.modules.values() if not inner.is_alias]
        every |= {name: item for name, item in current.classes.items() if not item.is_alias}
    found: Sections = {}
    grown = True
    while grown:
        grown = False
        for name, item in every.items():
            if name not in found and {str(base) for base in item.bases} & (BASES | set(found)):
                found[name] = item
                grown = True
    return found


def keys(section: griffe.Class, known: Sections) -> Iterator[griffe.Attribute]:
    """Yield the keys of a table, those it inherits first."""
    for base in section.bases:
        if str(base) in known:
            yield from keys(known[str(base)], known)
    for name, member in section.members.items():
        annotation = "" if not isinstance(member, griffe.Attribute) else str(member.annotation or "")
        if annotation and not name.startswith("_") and name != "schema_versions":
            yield cast(griffe.Attribute, member)


def expanded(node: ast.expr, module: griffe.Module, depth: int = 0) -> ast.expr:
    """Put in what the names of types stand for that the module defines (``Years = tuple[int, int]``)."""

    class Names(ast.NodeTransformer):
        def visit_Name(self, name: ast.Name) -> ast.AST:
            alias = module.members.get(name.id)
            if depth > 3 or not isinstance(alias, griffe.Attribute) or alias.value is None:
                return name
            return expanded(ast.parse(str(alias.value), mode="eval").body, module, depth + 1)

    return cast(ast.expr, Names().visit(node))


def spelled(node: ast.expr) -> str:
    """Spell a type for a user: the bounds beside it, choices as a list."""
    if isinstance(node, ast.Subscript):
        parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        name = ast.unparse(node.value)
        if name == "Annotated":
            marks = [
                f"{BOUNDS[mark.arg]} {ast.unparse(mark.value)}"
                for part in parts[1:]
                if isinstance(part, ast.Call)
                for mark in part.keywords
                if mark.arg in BOUNDS
            ]
            return ", ".join([spelled(parts[0]), *marks])
        if name == "Literal":
            return " or ".join(ast.unparse(part).replace("'", '"') for part in parts)
        return f"{name}[{', '.join(spelled(part) for part in parts)}]"
    if isinstance(node, ast.BinOp):
        sides = [spelled(node.left), spelled(node.right)]
        return " or ".join(side for side in sides if side != "None")
    return {"DataPath": "path", "Path": "path"}.get(ast.unparse(node), ast.unparse(node))


def below(annotation: ast.expr, known: Sections) -> list[griffe.Class]:
    """List the tables that a key's type names."""
    names = [node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)]
    return [known[name] for name in names if name in known]


def rows(section: griffe.Class, known: Sections, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield key, type, default and meaning of everything in a table, the tables below it included."""
    for key in keys(section, known):
        annotation = ast.parse(str(key.annotation), mode="eval").body
        annotation = expanded(annotation, cast(griffe.Module, section.module))
        inner = below(annotation, known)
        default = "" if key.value is None else str(key.value)
        meaning = "" if key.docstring is None else " ".join(key.docstring.value.split())
        if not inner:
            yield f"{prefix}{key.name}", spelled(annotation), default or "required", meaning
            continue
        many = any(isinstance(node, ast.Subscript) for node in ast.walk(annotation))
        for table in inner:
            text = meaning or ("" if table.docstring is None else table.docstring.value.split("\n")[0])
            shown = "required" if not default else "absent" if default == "None" else ""
            yield f"{prefix}{key.name}", "tables" if many else "table", shown, text
            yield from rows(table, known, f"{prefix}{key.name}{'.NAME' if many else ''}.")


def table(header: Sequence[str], lines: Sequence[Sequence[str]], widths: str) -> str:
    """Write a list table of reStructuredText; an empty cell is one."""
    text = f".. list-table::\n   :header-rows: 1\n   :widths: {widths}\n\n"
    for line in [header, *lines]:
        for number, value in enumerate(line):
            text += f"   {'*' if number == 0 else ' '} - {value}".rstrip() + "\n"
    return text + "\n"


def literal(text: str) -> str:
    """Set a text as code, cut where it is long."""
    short = text if len(text) <= 90 else f"{text[:87]}..."
    return f"``{' '.join(short.split())}``" if short else ""


def titled(text: str, mark: str = "=") -> str:
    """Write a title."""
    return f"{text}\n{mark * len(text)}\n\n"


def config_page(package: repo.Package, module: griffe.Module, shared: Sections) -> str | None:
    """Write the page of the configs of a package; None where it has none."""
    own = sections(module)
    known = {**shared, **own}
    roots = [item for item in own.values() if "Config" in {str(base) for base in item.bases}]
    if not roots or package.name == repo.CORE:
        return None
    text = titled(f"Config of {package.name}")
    text += (
        "Every key, its type, its default and its meaning, read from the sources. Paths are looked for "
        "beside the config,\nthen under ``ESAI_DATA``. ``config schema`` prints the same as a JSON schema, "
        "``init`` a commented config.\n\n"
    )
    for root in roots:
        text += titled(root.path, "-")
        lines = [
            (literal(key), literal(kind), literal(default), meaning)
            for key, kind, default, meaning in rows(root, known)
        ]
        text += table(("key", "type", "default", "meaning"), lines, "24 20 16 40")
    return text


class _Named:
    """Stands for a module or function of the registry: remembers how it was spelled."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> None:
        """Only `functools.partial` asks whether it can be called."""

    def __getattr__(self, name: str) -> _Named:
        return _Named(f"{self.name}.{name}")


def scores(module: griffe.Module) -> list[tuple[str, Any, int, float, str, tuple[str, ...]]]:
    """List the declared scores: name, function, orientation, perfect value, kind, needs.

    The generator that declares them is run with names in place of the functions, so nothing is imported.
    """
    source = cast(Any, module["verify.registry._scores"])
    code = "from __future__ import annotations\n" + "\n".join(source.lines)

    def score(
        name: str, function: Any, orientation: int, perfect: float, kind: str, needs: tuple[str, ...] = ()
    ) -> tuple[str, Any, int, float, str, tuple[str, ...]]:
        return name, function, orientation, perfect, kind, needs

    names = {name: _Named(name) for name in ("deterministic", "ensemble", "events", "probability", "crpss")}
    space: dict[str, Any] = {**names, "Score": score, "partial": partial}
    exec(compile(code, str(source.filepath), "exec"), space)
    return list(space["_scores"]())


def scores_page(module: griffe.Module) -> str:
    """Write the page of the scores."""
    text = titled("Scores")
    text += "What ``metrics.json`` may hold, as declared in ``esai_core.verify.registry``.\n\n"
    lines = []
    for name, function, orientation, perfect, kind, needs in scores(module):
        path = f"esai_core.verify.{(function.func if isinstance(function, partial) else function).name}"
        value = "" if perfect != perfect else f"{perfect:g}"
        lines.append(
            (literal(name), BETTER[orientation], value, KINDS[kind], ", ".join(needs), literal(path))
        )
    header = ("name", "better", "perfect", "taken of", "needs", "function")
    return text + table(header, lines, "12 18 10 24 14 30")


def write(target: Path, packages: Sequence[repo.Package]) -> None:
    """Write the pages of configs and scores into `target`."""
    target.mkdir(parents=True, exist_ok=True)
    loaded = {
        package.name: cast(
            griffe.Module, griffe.load(package.module, search_paths=[str(package.folder / "src")])
        )
        for package in packages
    }
    core = loaded[repo.CORE]
    shared = sections(core)
    (target / "scores.rst").write_text(scores_page(core), "utf-8")
    for package in packages:
        page = config_page(package, loaded[package.name], shared)
        if page is not None:
            (target / f"{package.name}.rst").write_text(page, "utf-8")
