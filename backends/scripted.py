"""A backend that answers by rules, for examples and tests, users' own tests included."""

import codecs
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from quillgraph.backends.capabilities import Capabilities
from quillgraph.backends.chat import ChatBackend, ChatRequest, Completion
from quillgraph.backends.errors import ConfigError, ReplyError
from quillgraph.backends.messages import hermes
from quillgraph.backends.messages.trace import Alternative, Position, TokenTrace, position

TOKEN_BYTES = 4

Reply = Callable[[ChatRequest], str]


class Rule(BaseModel):
    """A pattern and its reply."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: re.Pattern[str]
    """Regular expression, searched over all messages of the request joined by newlines."""
    reply: str | tuple[str, ...]
    """The reply. With several, the n-th answers the n-th *different* request that matches, and the
    last answers all later ones; a repeated request gets the same reply again."""


class Script(BaseModel):
    """A YAML file of rules; the first that matches answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[Rule, ...] = Field(min_length=1)


class ScriptedChat(ChatBackend):
    """Answers without a model, by a function of the request or by the rules of a file.

    The reply depends on the request alone, so it is the same under fan-out and in any order.
    Only a rule with several replies is an exception (`Rule`). A token is four UTF-8 bytes of the
    text, about the size of a real one; its id is their value, and every log-probability is 0.
    This is enough to test code that handles traces, and is clearly not a model's. Each token is
    its own and only alternative. A reply calls a tool as small models do, with
    `<tool_call>{"name": "look", "arguments": {"place": "sea"}}</tool_call>`.

    Args:
        reply: Function from request to reply text. Give this or `path`.
        path: YAML file with a list of `rules`.
    """

    model: str = "scripted"
    reply: Reply | None = None
    path: Path | None = None
    items_per_call: int = 8
    max_concurrency: int = 64
    _script: Script | None = PrivateAttr(default=None)
    _answered: dict[tuple[int, str], int] = PrivateAttr(default_factory=dict)

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        # here and not in a validator, which would wrap a ConfigError in a ValidationError
        if (self.reply is None) == (self.path is None):
            raise ConfigError("expected either reply= or path= for a scripted backend")
        if self.path is not None:
            self._script = read_script(self.path)

    @classmethod
    def spec_options(cls) -> frozenset[str] | None:
        """All but `path`, which has its own place in a spec, and `reply`, which is Python."""
        return (super().spec_options() or frozenset()) - {"path", "reply"}

    @classmethod
    def from_spec(cls, model: str, base_url: str | None, options: Mapping[str, Any]) -> Self:
        """Answer by the rules of a file: `scripted:FILE`."""
        return cls(path=Path(model), **options)

    @property
    def capabilities(self) -> Capabilities:
        """All that a trace can carry; replies follow a schema if the script's replies do."""
        return Capabilities(
            json_schema=True,
            token_ids=True,
            logprobs=True,
            top_logprobs=True,
            min_p=True,
            tools=True,
            items_per_call=self.items_per_call,
        )

    @property
    def _llm_type(self) -> str:
        return "quillgraph-scripted"

    async def _complete(self, request: ChatRequest) -> Completion:
        text = self.reply(request) if self.reply else self._by_rule(request)
        prompt = _tokens("\n".join(_prompt_parts(request)))
        full = _tokens(text)
        ids = full[: request.max_tokens]
        reason = "stop" if len(ids) == len(full) else "length"
        return Completion(
            text=text.encode()[: TOKEN_BYTES * len(ids)].decode(errors="ignore"),
            finish_reason=reason,
            prompt_tokens=len(prompt),
            completion_tokens=len(ids),
            trace=TokenTrace(
                prompt_ids=prompt,
                completion_ids=ids,
                logprobs=(0.0,) * len(ids),
                finish_reason=reason,
            ),
            alternatives=_alone(text, len(ids)) if request.top_logprobs else None,
        ).with_calls_read(request)

    def _by_rule(self, request: ChatRequest) -> str:
        assert self._script is not None
        prompt = "\n".join(turn.content for turn in request.messages)
        for number, rule in enumerate(self._script.rules):
            if rule.when.search(prompt):
                return self._pick(number, rule, request)
        raise ReplyError(f"a rule in {self.path} for the request", prompt[-160:])

    def _pick(self, number: int, rule: Rule, request: ChatRequest) -> str:
        if isinstance(rule.reply, str):
            return rule.reply
        earlier = sum(1 for key in self._answered if key[0] == number)
        place = self._answered.setdefault((number, request.sha256), earlier)
        return rule.reply[min(place, len(rule.reply) - 1)]


def _prompt_parts(request: ChatRequest) -> Iterator[str]:
    """The parts of a request that a model would read, tools included."""
    for tool in request.tools:
        yield json.dumps(tool, ensure_ascii=False)
    for turn in request.messages:
        calls = [hermes.format_call(call.name, call.arguments) for call in turn.tool_calls]
        yield "\n".join([turn.content, *calls] if turn.content or not calls else calls)


def _tokens(text: str) -> tuple[int, ...]:
    raw = text.encode()
    starts = range(0, len(raw), TOKEN_BYTES)
    return tuple(int.from_bytes(raw[start : start + TOKEN_BYTES]) for start in starts)


def _alone(text: str, number: int) -> tuple[Position, ...]:
    raw = text.encode()[: TOKEN_BYTES * number]
    # as in vLLM, the token that completes a character adds all of it
    decoder = codecs.getincrementaldecoder("utf-8")()
    pieces = (
        decoder.decode(raw[start : start + TOKEN_BYTES])
        for start in range(0, len(raw), TOKEN_BYTES)
    )
    return tuple(position(Alternative(text=piece, logprob=0.0), ()) for piece in pieces)


def read_script(path: Path) -> Script:
    """Read a script file.

    Raises:
        ConfigError: If the file cannot be read or does not hold rules.
    """
    try:
        return Script.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"cannot read the script {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{_EXPECTED} in {path}, but {where}: {first['msg']}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{_EXPECTED} in {path}: {' '.join(str(error).split())}") from error


_EXPECTED = "expected a YAML file with `rules: [{when: ..., reply: ...}]`"
