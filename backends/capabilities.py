"""What a backend declares it can do; a role that needs more is refused before it runs."""

from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel

from quillgraph.backends.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a chat model offers beyond text in, text out."""

    json_schema: bool = False
    """Takes a JSON schema, and decodes under it or at least asks for it."""
    token_ids: bool = False
    """Returns the prompt's and the completion's token ids."""
    logprobs: bool = False
    """Returns the log-probability of each completion token."""
    top_logprobs: bool = False
    """Returns the most probable tokens at each position of the reply, with their log-probs."""
    adapters: bool = False
    """Swaps LoRA adapters while it runs (`ChatBackend.load_adapter`)."""
    min_p: bool = False
    """Takes `min_p` and `repetition_penalty`, which OpenAI's API does not know."""
    tools: bool = False
    """Takes tools and returns the calls of them, if the model was trained to make any."""
    items_per_call: int = 1
    """How many items (incidents, pairs, criteria) one call may carry. Small models do one
    thing at a time, and choose from options where larger ones write (LOG.md 2026-11-23)."""
    context_tokens: int | None = None
    """Window of the model in tokens, prompt and completion together; None if unknown."""


def capabilities_of(model: BaseChatModel) -> Capabilities:
    """Read the capabilities that a chat model declares; a foreign model declares none."""
    declared = getattr(model, "capabilities", None)
    return declared if isinstance(declared, Capabilities) else Capabilities()


def require(model: BaseChatModel, role: str, *needs: str) -> None:
    """Refuse a role whose backend lacks a capability that the role needs.

    Raises:
        ConfigError: Naming the role, the backend and each missing capability.
    """
    capabilities = capabilities_of(model)
    if missing := [need for need in needs if not getattr(capabilities, need)]:
        raise ConfigError(
            f"role {role!r} needs {', '.join(missing)}, which backend "
            f"{type(model).__name__} does not offer; give the role another one, "
            f"for example --role {role}=vllm:smollm2-135m"
        )
