"""Plain text from Markdown: what a judge reads unless the request asks for the marks."""

import re
from collections.abc import Iterator, Sequence
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.common.html_blocks import block_names
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from quillgraph.agents.checks.manner import Format
from quillgraph.agents.domain import Criterion

MARKED = {"list", "numbered_list", "headings", "table"}
"""Forms of a text that need their marks."""

_INLINE = """
a abbr acronym audio b bdi bdo big button canvas cite code data del dfn em embed font i ins kbd
label map mark meter object output picture pre q s samp script select small span strike strong
style sub sup svg template textarea time tt u var video
"""

_UNCLOSED = frozenset(
    "br col dd div dt h1 h2 h3 h4 h5 h6 hr img input li option p td th tr wbr".split()  # noqa: SIM905
)
"""Tags that count without a closing one; that of some is a line break before they are read."""

_NAMES = frozenset([*block_names, *_INLINE.split(), *_UNCLOSED])
"""Names of the tags of HTML."""

_TAG = re.compile(r"</?([a-z][\w-]*)", re.IGNORECASE)
_CLOSING = re.compile(r"</([a-z][\w-]*)", re.IGNORECASE)

_LINE_BREAK = re.compile(r"<br\s*/?>[^\S\n]*\n?", re.IGNORECASE)
_BLOCK_END = re.compile(r"</(?:p|div|li|h[1-6])>\s*", re.IGNORECASE)


def plain(text: str) -> str:
    """Remove the marks of Markdown and HTML from a text; words, lines and indentation stay.

    People and judges alike prefer texts with lists, bold type and headings (arXiv:2409.11704), so a
    judge does not see them. The dash or number of a list item is removed too; a single line of
    speech after a dash, or a single year with a full stop, is not a list. One blank line separates
    blocks that a blank line or a mark separated.
    """
    tree, lines = _parsed(_BLOCK_END.sub("\n\n", _LINE_BREAK.sub("\n", text)))
    whole, end = "", 0
    for (start, stop), words in _blocks(tree, lines):
        between = "" if not whole else "\n\n" if start > end else "\n"
        whole, end = whole + between + words, stop
    return whole


def text_for_judge(text: str, criteria: Sequence[Criterion]) -> str:
    """The text as a judge reads it: plain, unless a demand of the request needs the marks."""
    checks = (criterion.check for criterion in criteria)
    wanted = any(isinstance(check, Format) and check.form in MARKED for check in checks)
    return text if wanted else plain(text)


@cache
def _parser() -> MarkdownIt:
    # an indented line is verse, not code, and keeps its indentation; "[Mary]: Hello" is speech, not
    # a reference; tags are removed in place
    return (
        MarkdownIt("commonmark")
        .enable(["table", "strikethrough"])
        .disable(["code", "entity", "reference", "html_block", "newline"])
    )


def _tokens(text: str) -> list[Token]:
    """Parse a text; words in angle brackets that are no tag, such as `<name>`, stay words."""
    tokens = _parser().parse(text)
    closed = {name.lower() for name in _CLOSING.findall(text)}
    for token in tokens:
        for child in token.children or ():
            if child.type == "html_inline" and (tag := _TAG.match(child.content)):
                name = tag[1].lower()
                if name not in _NAMES or name not in closed | _UNCLOSED:
                    child.type = "text"
    return tokens


def _parsed(text: str) -> tuple[SyntaxTreeNode, list[str]]:
    """Parse a text; a mark that does not open a list of two items counts as words."""
    tree, lines = SyntaxTreeNode(_tokens(text)), re.split(r"\r\n?|\n", text)
    items = [node for node in tree.walk() if node.type == "list_item" and not _is_list(node.parent)]
    # where several items begin on one line, the first is the outermost
    alone = {item.map[0]: item for item in reversed(items) if item.map}
    if not alone:
        return tree, lines
    for number, item in alone.items():
        mark = item.info + item.markup
        lines[number] = lines[number].replace(mark, f"{item.info}\\{item.markup}", 1)
    return _parsed("\n".join(lines))


def _is_list(node: SyntaxTreeNode | None) -> bool:
    """Whether a node is a list: two items or more, as in `forms`; numbers begin at 0 or 1."""
    return node is not None and len(node.children) > 1 and node.attrs.get("start", 1) in (0, 1)


def _blocks(node: SyntaxTreeNode, lines: Sequence[str]) -> Iterator[tuple[tuple[int, int], str]]:
    """The blocks of words, each with the range of its lines in the source."""
    if node.type == "inline":
        words = _plain_words(node).strip("\n")
    elif node.type == "fence":
        # "~~~ The End ~~~" separates scenes; a word names a language only after backticks
        heading = node.info.strip("~ ") if node.markup.startswith("~") else ""
        words = f"{heading}\n{node.content}".strip("\n")
    elif node.type == "tr":
        cells = [words for child in node.children for _, words in _blocks(child, lines)]
        words = " ".join([*cells, *_further_cells(node, lines)])
    else:
        for child in node.children:
            yield from _blocks(child, lines)
        return
    if words.strip() and node.map:
        yield node.map, _indentation(node, lines[node.map[0]]) + words.rstrip()


def _further_cells(row: SyntaxTreeNode, lines: Sequence[str]) -> list[str]:
    """The cells of a row beyond its table's columns, which the parser drops."""
    if row.map is None:
        return []
    cells = re.split(r"(?<!\\)\|", lines[row.map[0]].strip().strip("|"))
    return [words for cell in cells[len(row.children) :] if (words := cell.strip())]


def _indentation(node: SyntaxTreeNode, line: str) -> str:
    """The blanks that the parser takes off the first line of a paragraph."""
    outer = node.parent
    if outer is None or outer.type != "paragraph" or outer.level:
        return ""
    return line[: len(line) - len(line.lstrip())]


def _plain_words(node: SyntaxTreeNode) -> str:
    if node.type in ("softbreak", "hardbreak"):
        return "\n"
    if node.children:
        return "".join(map(_plain_words, node.children))
    return "" if node.type in ("html_inline", "inline", "image") else node.content
