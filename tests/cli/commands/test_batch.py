"""Entries that are run side by side share a folder, and leave it together."""

import asyncio
import io
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph

from quillgraph.backends.calls import Budget, Recorder
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import StorageError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.cli.commands.batch import BatchWork
from quillgraph.cli.session.inputs import read_inputs
from quillgraph.cli.session.progress import ProgressWatch, plain_console
from quillgraph.cli.session.settings import load_settings
from quillgraph.graphs.episodes import EPISODES, Batch
from quillgraph.graphs.supervision import Engines


class Line(TypedDict, total=False):
    request: str
    text: str


def test_what_stops_one_entry_lets_the_others_leave_before_the_folder_is_closed(
    tmp_path: Path,
) -> None:
    model, begun, ends = ScriptedChat(reply=lambda _: "so"), asyncio.Event(), list[Any]()

    async def write(state: Line) -> Line:
        if state["request"] == "first":
            await begun.wait()
            return {"text": "done"}
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            try:
                ends.append((await model.ainvoke("a last word")).text)
            except StorageError as error:
                ends.append(error)
            raise
        return {}

    graph = StateGraph(Line)
    graph.add_node("write", write)
    graph.add_edge(START, "write")
    batch = tmp_path / "batch.jsonl"
    batch.write_text('"first"\n"second"\n', encoding="utf-8")
    inputs = read_inputs(graph, None, batch, {})
    # an episode cannot be written here
    (tmp_path / EPISODES).mkdir()
    many = Batch(graph, inputs.entries, tmp_path, Budget(), {})
    work = BatchWork(many, inputs, load_settings(None))
    engines = Engines(common=model, roles={}, embeddings=LexicalEmbeddings())
    with Recorder(tmp_path / "calls.jsonl", "batch") as recorder:
        watch = ProgressWatch(plain_console(io.StringIO()), recorder, work.stages)
        with pytest.raises(StorageError, match=r"cannot write .*episodes\.jsonl"):
            asyncio.run(work.run(engines, recorder, watch))
    assert ends == ["so"]
