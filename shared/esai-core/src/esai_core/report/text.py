"""Plain text with a little Markdown to HTML; everything is escaped first."""

from __future__ import annotations

import html
import math
import re
from typing import Any

__all__ = ["Html", "cell", "inline", "paragraphs", "slug"]

NO_VALUE, MINUS = "\u2013", "\u2212"

_INLINE = (
    (re.compile(r"`([^`\n]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*([^*\n]+)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"(?<![\w*])\*([^*\n]+)\*(?![\w*])"), r"<em>\1</em>"),
    (re.compile(r"\[([^\]\n]+)\]\((https?://[^\s)]+|#[\w-]+)\)"), r'<a href="\2">\1</a>'),
)


class Html(str):
    """Text that is HTML already: the template leaves it as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


def inline(text: object) -> Html:
    """Turn ``**bold**``, ``*stressed*``, ``code`` and ``[links](https://...)`` of one line into HTML."""
    escaped = html.escape(str(text))
    for pattern, replacement in _INLINE:
        escaped = pattern.sub(replacement, escaped)
    return Html(escaped)


def paragraphs(text: object) -> Html:
    """Turn paragraphs (parted by empty lines) and lists (lines that begin with ``-``) into HTML."""
    parts = []
    for block in re.split(r"\n\s*\n", str(text).strip()):
        lines = [line.strip() for line in block.splitlines() if line.strip()]
        if lines and all(line.startswith("- ") for line in lines):
            parts.append("<ul>" + "".join(f"<li>{inline(line[2:])}</li>" for line in lines) + "</ul>")
        elif lines:
            parts.append(f"<p>{inline(' '.join(lines))}</p>")
    return Html("\n".join(parts))


def slug(text: str, taken: set[str]) -> str:
    """Give an anchor for a title that is not yet `taken` (and take it)."""
    base = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "section"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    taken.add(name)
    return name


def cell(value: Any, digits: int) -> tuple[str, bool]:
    """Give the text of a table's cell, and whether it is a number."""
    if value is None:
        return NO_VALUE, True
    if isinstance(value, (bool, str)):
        return str(value), False
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f") if abs(value) >= 10000 else str(value), True
    if isinstance(value, float):
        if math.isnan(value):
            return NO_VALUE, True
        small = value != 0 and abs(value) < 10**-digits
        text = f"{value:.2g}" if small else f"{value:.{digits}f}" if abs(value) < 1e5 else f"{value:.4g}"
        return text.replace("-", MINUS, 1) if value < 0 else text, True
    return str(value), False
