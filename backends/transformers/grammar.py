"""The grammar that a reply of `generation` must follow: a JSON schema, or a call of a tool."""

import json

import llguidance.hf
from llguidance import LLMatcher, LLTokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import Refused
from quillgraph.backends.messages.tools import lark

COMPACT_JSON = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""One fixed spacing: left free, a small model fills its budget with spaces and newlines."""

PROBE = '{"a": "b c"}'
"""What a tokenizer must carry through unchanged, spaces above all, to serve grammars."""


def is_bound(request: ChatRequest) -> bool:
    """Whether a grammar restricts the reply."""
    return request.json_schema is not None or bool(request.forced)


class Grammars:
    """The grammars of llguidance over one model's tokens.

    Raises:
        Refused: If the tokenizer does not carry text through unchanged.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, end_ids: tuple[int, ...]
    ) -> None:
        size = max(model.config.get_text_config().vocab_size, len(tokenizer))
        self._tokenizer: LLTokenizer = llguidance.hf.from_tokenizer(
            tokenizer, n_vocab=size, eos_token=list(end_ids)
        )
        ids = tokenizer.encode(PROBE, add_special_tokens=False)
        if (decoded := self._tokenizer.decode_bytes(ids)) != PROBE.encode():
            raise Refused(
                f"llguidance reads {PROBE!r} as {decoded!r} through this model's tokenizer, so a "
                "JSON schema cannot hold; give a tokenizer.json whose decoder undoes its "
                "pre-tokenizer (one converted from GGUF often has another)"
            )

    def matcher(self, request: ChatRequest) -> LLMatcher:
        """Make the matcher that checks a reply token by token.

        Raises:
            Refused: If llguidance cannot decode under the request's schema.
        """
        if request.forced:
            grammar = LLMatcher.grammar_from_lark(lark(request.forced, COMPACT_JSON))
        else:
            schema = json.dumps(request.json_schema)
            grammar = LLMatcher.grammar_from_json_schema(schema, overrides=COMPACT_JSON)
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise Refused(
                f"llguidance cannot decode under this JSON schema: {matcher.get_error()}; "
                "simplify the schema"
            )
        return matcher
