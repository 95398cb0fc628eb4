"""Whether anybody listens to a chat model's call; LangChain's ceremony can be left out if not."""

from uuid import uuid4

from langchain_core.callbacks import AsyncCallbackManager, AsyncCallbackManagerForLLMRun
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config


def unheard_run(
    model: BaseChatModel, config: RunnableConfig | None
) -> AsyncCallbackManagerForLLMRun | None:
    """The run of a call that nobody listens to; None if somebody does.

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
    if manager.handlers:
        return None
    return AsyncCallbackManagerForLLMRun(
        run_id=whole.get("run_id") or uuid4(),
        handlers=[],
        inheritable_handlers=[],
        parent_run_id=manager.parent_run_id,
        tags=manager.tags,
        inheritable_tags=manager.inheritable_tags,
        metadata=manager.metadata,
        inheritable_metadata=manager.inheritable_metadata,
    )
