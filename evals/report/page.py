"""The page: one HTML file without network access that runs only its own script."""

import base64
import hashlib
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from quillgraph.backends.errors import ConfigError, StorageError
from quillgraph.evals.report import plots
from quillgraph.evals.report.contents import Contents
from quillgraph.evals.report.folder import counted

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = "templates"

FIRST = len("<!doctype html>")
"""The marker that identifies a page."""


def render_page(contents: Contents) -> str:
    """Make the page.

    Jinja2 escapes all text of models, users and files; the styles and the one script are ours.
    The page's content security policy allows these two by their hashes and nothing else, so a
    script that passed the escaping would still not run.

    Raises:
        ConfigError: If Jinja2 or matplotlib is not installed.
    """
    missing = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"a report needs {' and '.join(missing)}, not installed here; "
            "pip install 'quillgraph[report]'"
        )
    style, script = _own("page.css"), _own("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template("page.html")
    return page.render(contents=contents, plots=plots, style=style, script=script, policy=policy)


def write_page(page: str, path: Path) -> None:
    """Write a page atomically: an earlier one stays until the new one is complete.

    Raises:
        ConfigError: If the path holds another file: a typo must not overwrite a run's files.
        StorageError: If the page cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        if path.is_file() and not path.read_bytes().startswith(page[:FIRST].encode()):
            raise ConfigError(
                f"expected a new file or an earlier page, but {path} is something else; "
                "choose another --out"
            )
        # a reply may hold half of a surrogate pair, which UTF-8 cannot encode
        part.write_text(page, encoding="utf-8", errors="replace")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StorageError(
            f"cannot write {path}: {error.strerror}; choose another --out"
        ) from error


def _environment() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_own),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["counted"] = counted
    return environment


def _own(name: str) -> str:
    return resources.files(__package__).joinpath(TEMPLATES, name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
