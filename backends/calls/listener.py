"""Who listens to a chat model's call; LangChain's ceremony is left out if nobody would notice."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
)
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config


class Listener(BaseCallbackHandler):
    """A callback handler whose methods are plain and quick, and whose errors end the call.

    The backends of this package tell it of their calls directly, if nobody else listens.
    """

    raise_error = True
    run_inline = True


def direct_run(
    model: BaseChatModel, config: RunnableConfig | None
) -> AsyncCallbackManagerForLLMRun | None:
    """The run of a call that nobody but `Listener`s hears; None if somebody else does.

    LangChain itself says who listens: handlers of the graph around the call, of the model, of
    tracing, of usage counters. A cache, a rate limiter or another form of output counts as well.
    """
    if model.cache or model.rate_limiter or model.output_version or get_llm_cache():
        return None
    whole = ensure_config(config)
    manager = AsyncCallbackManager.configure(
        whole.get("callbacks"),
        model.callbacks,
        model.verbose,
        whole.get("tags"),
        model.tags,
        whole.get("metadata"),
        model.metadata,
    )
    if not all(isinstance(each, Listener) for each in manager.handlers):
        return None
    return AsyncCallbackManagerForLLMRun(
        run_id=whole.get("run_id") or uuid4(),
        handlers=manager.handlers,
        inheritable_handlers=manager.inheritable_handlers,
        parent_run_id=manager.parent_run_id,
        tags=manager.tags,
        inheritable_tags=manager.inheritable_tags,
        metadata=manager.metadata,
        inheritable_metadata=manager.inheritable_metadata,
    )


@contextmanager
def announced(
    run: AsyncCallbackManagerForLLMRun, messages: list[BaseMessage], options: dict[str, Any]
) -> Iterator[list[AIMessage]]:
    """Tell the listeners of a call that it begins, and how it ended.

    Like LangChain, it says nothing of a call that was cancelled. Of one that a listener refused, it
    tells those that had heard it begin.

    Yields:
        Where to put the reply.
    """
    listeners = [each for each in run.handlers if not each.ignore_chat_model]
    about: dict[str, Any] = {"run_id": run.run_id, "parent_run_id": run.parent_run_id}
    for number, each in enumerate(listeners):
        try:
            each.on_chat_model_start(
                {}, [messages], metadata=run.metadata, invocation_params=options, **about
            )
        except Exception as error:
            for before in listeners[:number]:
                before.on_llm_error(error, **about)
            raise
    replies: list[AIMessage] = []
    try:
        yield replies
    except Exception as error:
        for each in listeners:
            each.on_llm_error(error, **about)
        raise
    if listeners:
        result = LLMResult(generations=[[ChatGeneration(message=each) for each in replies]])
    for each in listeners:
        each.on_llm_end(result, **about)
