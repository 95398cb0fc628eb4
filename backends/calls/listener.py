"""The callback handlers of a chat model's call, run directly where no outside handler listens."""

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
    """A callback handler with quick synchronous methods, whose errors end the call.

    If a call has no other handlers, the backends of this package run the listeners directly.
    """

    raise_error = True
    run_inline = True


def direct_run(
    model: BaseChatModel, config: RunnableConfig | None
) -> AsyncCallbackManagerForLLMRun | None:
    """Make the run of a call whose handlers are all `Listener`s; None if there are others.

    LangChain itself lists the handlers: of the graph around the call, the model, tracing and
    usage counters. A cache, a rate limiter or another output version counts as a handler too.
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
    """Report the start and the end of a call to its listeners.

    Like LangChain, it does not report a cancelled call. If a listener refuses the call, the
    listeners before it get the error.

    Yields:
        The list to append the reply to.
    """
    listeners = [each for each in run.handlers if not each.ignore_chat_model]
    about: dict[str, Any] = {"run_id": run.run_id, "parent_run_id": run.parent_run_id}
    for number, each in enumerate(listeners):
        try:
            each.on_chat_model_start(
                {}, [messages], metadata=run.metadata, invocation_params=options, **about
            )
        except Exception as error:
            for earlier in listeners[:number]:
                earlier.on_llm_error(error, **about)
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
