import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner
from werkzeug import Request, Response

from quillgraph.cli.main import app

WORDS = (
    "amber", "bell", "cedar", "dusk", "ember", "fern", "gull", "harbour", "ink", "jetty", "kelp",
    "lamp", "mist", "night", "oar", "pier", "quartz", "rope", "salt", "tide", "umber", "vale",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What a user sees of a finished command."""

    status: int
    stdout: str
    stderr: str

    @property
    def error(self) -> str:
        """The last line on stderr."""
        return self.stderr.strip().splitlines()[-1] if self.stderr.strip() else ""


Command = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Runs start in an empty folder and know no setting or key but those of the test."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith("QUILLGRAPH_")]:
        if name != "QUILLGRAPH_CACHE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("QUILLGRAPH_EMBEDDINGS", "lexical")
    # no test touches what the user has remembered
    monkeypatch.setenv("QUILLGRAPH_MEMORY", str(tmp_path / ".memory" / "memory.sqlite"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("COLUMNS", "200")  # so that no message is broken into lines


@pytest.fixture
def quillgraph() -> Command:
    """The command, in this process."""

    def run(*words: object, **options: Any) -> Outcome:
        done = CliRunner().invoke(app, [str(word) for word in words], **options)
        return Outcome(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def server() -> Iterator[HTTPServer]:
    """An OpenAI-compatible server whose model answers any schema, the same each time."""
    with HTTPServer() as server:
        server.expect_request("/v1/chat/completions").respond_with_handler(_answer)
        yield server


@pytest.fixture(scope="session")
def spec(server: HTTPServer) -> str:
    """The backend spec of that server."""
    return f"openai:m@{server.url_for('/v1')}?max_retries=0"


@pytest.fixture(scope="session")
def answer() -> Callable[[Request], Response]:
    """How that server answers, for servers that do so for a while."""
    return _answer


def _answer(request: Request) -> Response:
    body = request.get_json()
    draw = _draw("".join(message["content"] for message in body["messages"]))
    form = body.get("response_format")
    if form is None:
        text = " ".join(draw(WORDS) for _ in range(12)).capitalize() + "."
    else:
        schema = form["json_schema"]["schema"]
        text = json.dumps(_fill(schema, schema.get("$defs", {}), draw))
    reply = {
        "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }
    return Response(json.dumps(reply), content_type="application/json")


def _draw(seed: str) -> Callable[[Any], Any]:
    """Choose from sequences, as the prompt decides."""
    count = 0

    def draw(choices: Any) -> Any:
        nonlocal count
        count += 1
        digest = hashlib.sha256(f"{count}{seed}".encode()).digest()
        return choices[int.from_bytes(digest[:4]) % len(choices)]

    return draw


def _fill(schema: dict[str, Any], defs: dict[str, Any], draw: Callable[[Any], Any]) -> Any:
    """Make a value that satisfies a schema."""
    if "$ref" in schema:
        return _fill(defs[schema["$ref"].split("/")[-1]], defs, draw)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return draw(schema["enum"])
    kind = schema["type"]
    if kind == "object":
        return {name: _fill(part, defs, draw) for name, part in schema["properties"].items()}
    if kind == "array":
        size = min(schema.get("minItems", 0) + 1, schema.get("maxItems", 3))
        return [_fill(schema["items"], defs, draw) for _ in range(size)]
    if kind == "string":
        text = f"{draw(WORDS)} {draw(WORDS)}"
        while len(text) < schema.get("minLength", 0):
            text += f" {draw(WORDS)}"
        return text[: schema.get("maxLength", len(text))]
    if kind == "boolean":
        return draw([True, False])
    return draw(range(schema.get("minimum", 0), schema.get("maximum", 9) + 1))
