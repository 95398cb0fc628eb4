"""What is heard of a run on its way: its calls, each once, and which of them came to nothing."""

from functools import partial
from types import TracebackType
from typing import Self

from langchain_core.callbacks import BaseCallbackHandler

from quillgraph.backends.calls.record import CallRecord, Recorder
from quillgraph.graphs.episodes.durable import Resuming
from quillgraph.graphs.episodes.observer import Writes
from quillgraph.graphs.episodes.source import EpisodeSource


class Hearing:
    """Listens to one run; where a durable graph goes on, it knows what was heard before.

    A call that is replayed is the call that it was: it stands once, under its first number.

    Args:
        source: What is run.
        name: Name of the run, and its thread.
        file: Is handed each record as its call ends.

    Raises:
        ConfigError: If the run is to be trained on, and calls that it has made were not kept.
    """

    def __init__(self, source: EpisodeSource, name: str, file: Recorder) -> None:
        graph, trained = source.graph, bool(source.trainable)
        self._kept = graph.calls if isinstance(graph, Resuming) else None
        earlier = graph.earlier(name, is_trained=trained) if isinstance(graph, Resuming) else []
        self._calls = {each.record.call: each.record for each in earlier}
        self._given_up = {each.record.call for each in earlier if each.given_up}
        self._file = file
        self._recorder = Recorder(
            None, name, self._hear, source.budget, earlier=tuple(self._calls.values())
        )
        give_up = partial(self._kept.give_up, name) if self._kept else None
        self.writes = Writes(self._recorder, give_up)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._recorder.__exit__(kind, error, trace)

    @property
    def callbacks(self) -> list[BaseCallbackHandler]:
        """Who is to listen; the recorder last, as it may have a budget."""
        return [self.writes, self._recorder]

    @property
    def calls(self) -> tuple[CallRecord, ...]:
        """The calls, in the order in which they were first asked for."""
        return tuple(self._calls[number] for number in sorted(self._calls))

    @property
    def given_up(self) -> tuple[int, ...]:
        """Numbers of the calls that nothing in the output comes of."""
        return tuple(call.call for call in self.calls if self._was_given_up(call))

    def _was_given_up(self, call: CallRecord) -> bool:
        was_asked = self._recorder.asked(call.call) >= 0
        return self.writes.was_given_up(call) or (not was_asked and call.call in self._given_up)

    def _hear(self, record: CallRecord) -> None:
        # Kept first: the numbers of a later process go on from what is kept, so one that stands in
        # the file alone would be given twice.
        if self._kept:
            self._kept.keep(record, given_up=self.writes.was_given_up(record))
        self._file.add(record)
        self._calls.setdefault(record.call, record)
