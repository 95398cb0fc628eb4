"""The grammar that a reply of `generation` must follow: a JSON schema, or a call of a tool."""

import json

import llguidance.hf
from llguidance import LLMatcher, LLTokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import Refused
from quillgraph.backends.messages.bounds import call_grammar, spaced
from quillgraph.backends.weights.pretrained import check_carries_text


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
        check_carries_text(tokenizer, self._tokenizer)

    def matcher(self, request: ChatRequest) -> LLMatcher:
        """Make the matcher that checks a reply token by token.

        Raises:
            Refused: If llguidance cannot decode under the request's schema.
        """
        if request.forced:
            grammar = LLMatcher.grammar_from_lark(call_grammar(request))
        else:
            assert request.json_schema is not None
            schema = json.dumps(spaced(request.json_schema))
            grammar = LLMatcher.grammar_from_json_schema(schema)
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise Refused(
                f"llguidance cannot decode under this JSON schema: {matcher.get_error()}; "
                "simplify the schema"
            )
        return matcher
