"""Inputs of a command: a request, or a file of many inputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quillgraph.agents.text import read_text
from quillgraph.backends.errors import InputError
from quillgraph.graphs.episodes import Graph
from quillgraph.graphs.supervision import KEPT, Inputs, inputs_of


def read_request(request: str | None, file: Path | None) -> str:
    """Take the request from the command line or from a file.

    Raises:
        InputError: If there is none, there are two, or it is not UTF-8 text.
    """
    if request is not None and file is not None:
        raise InputError("expected a REQUEST or --file FILE, got both; leave one of them out")
    if file is not None:
        return read_text(file)
    if request is None:
        raise InputError(
            "expected a REQUEST or --file FILE, got neither; say what is to be written"
        )
    try:
        request.encode()  # the shell may have handed over bytes that are no text
    except UnicodeError as error:
        raise InputError("expected UTF-8 text in the REQUEST; give it as UTF-8") from error
    return request


def read_inputs(
    graph: Graph, request: str | None, file: Path | None, extra: Mapping[str, Any]
) -> Inputs:
    """Read the inputs of a graph.

    Args:
        graph: Declares the inputs that it takes.
        request: A request in words.
        file: `.jsonl` holds one JSON object or one request in quotes a line, `.json` one object,
            anything else is the text of a request.
        extra: Parts of the state for every entry that does not set them itself.

    Raises:
        InputError: If there is nothing to run on.
    """
    if (request is None) == (file is None):
        count = "neither" if file is None else "both"
        raise InputError(f"expected a REQUEST or --input FILE, got {count}")
    if file is not None and file.suffix in KEPT:
        return inputs_of(graph, file.suffix, read_text(file), extra, str(file))
    return inputs_of(graph, ".txt", read_request(request, file), extra, "the request")
