"""Decoding many requests in one batch, each row with its own sampling, grammar and end.

`model.generate` knows one setting for the whole batch, so a row's token is sampled here, by the
row's own generator and under the row's own distribution, and forced upon `generate` as the only
token with a finite score. Transformers' continuous batching was looked at and left: it has no
grammars and draws all rows from one random stream, so no row could keep its seed.

Shapes: B rows of the batch, V vocabulary, T tokens.
"""

import itertools
import warnings
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from llguidance import LLMatcher
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

from quillgraph.backends.chat import ChatRequest, Completion
from quillgraph.backends.errors import QuillError, Refused
from quillgraph.backends.messages.bounds import is_bound
from quillgraph.backends.messages.trace import BASE, Alternative, Position, TokenTrace, position
from quillgraph.backends.transformers.grammar import Grammars
from quillgraph.backends.transformers.sampler import Draw, sample_tokens
from quillgraph.backends.weights.pretrained import opens_reply, prompt_ids

SPLIT = "\ufffd"
"""What a tokenizer writes for the bytes of a character that is not whole."""


@dataclass(slots=True)
class PendingCall:
    """A request, and the future of its completion."""

    request: ChatRequest
    future: "Future[Completion]" = field(default_factory=Future)

    def answer(self, completion: Completion) -> None:
        """Set the completion, unless the caller has cancelled."""
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_result(completion)

    def fail(self, error: BaseException) -> None:
        """Set an error, unless the caller has cancelled."""
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


@dataclass(slots=True)
class DecodingRow:
    """One call while it is decoded."""

    call: PendingCall
    prompt_ids: list[int]
    generator: torch.Generator
    """The row's own random stream, so that its neighbours cannot shift it."""
    matcher: LLMatcher | None
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    likeliest: list[dict[int, float]] = field(default_factory=list)
    """For each token of `ids`, the log-probabilities of the most probable ones in its place."""

    @property
    def ended(self) -> bool:
        """Whether nobody waits for this row any more: answered, failed or cancelled."""
        return self.call.future.done()


class Decoder:
    """A model with its tokenizer, decoding batches of calls.

    Args:
        model: A causal language model of transformers.
        tokenizer: Its fast tokenizer, with a chat template.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        self.model, self.tokenizer = model, tokenizer
        shape = model.config.get_text_config()
        self.window: int | None = getattr(shape, "max_position_embeddings", None)
        self.end_ids = _end_ids(model, tokenizer)
        # the repository's sampling defaults stay out: the request alone decides
        model.generation_config = GenerationConfig()
        self.version = BASE
        self._numbers = itertools.count()

    def carry(self, path: Path | None, version: str) -> None:
        """Put an adapter on the model in place of the one it carries; None for no adapter."""
        with warnings.catch_warnings():
            # of matrices on tied weights, which act on the one module all the same
            warnings.simplefilter("ignore", UserWarning)
            self._swap(path)
        self.version = version

    def _swap(self, path: Path | None) -> None:
        from peft import PeftModel

        name = f"adapter{next(self._numbers)}"
        if not isinstance(self.model, PeftModel):
            if path is not None:
                self.model = PeftModel.from_pretrained(self.model, path, name).eval()
        elif path is None:
            self.model = self.model.unload()
        else:
            before = self.model.active_adapter
            self.model.load_adapter(path, name, torch_device=str(self.model.device))
            self.model.set_adapter(name)
            self.model.delete_adapter(before)

    def decode(self, calls: Sequence[PendingCall]) -> None:
        """Answer or fail every call; each is answered as soon as its own row has ended."""
        rows = [row for call in calls if (row := self._admit(call))]
        if not rows:
            return
        longest = max(len(row.prompt_ids) for row in rows)
        pads = [longest - len(row.prompt_ids) for row in rows]
        prompts = [
            [self.end_ids[0]] * pad + row.prompt_ids for row, pad in zip(rows, pads, strict=True)
        ]
        masks = [[0] * pad + [1] * (longest - pad) for pad in pads]
        batch = StepSampler(rows, self)
        self.model.generate(
            input_ids=torch.tensor(prompts, device=self.model.device),
            attention_mask=torch.tensor(masks, device=self.model.device),
            generation_config=GenerationConfig(
                do_sample=False,
                max_new_tokens=max(row.call.request.max_tokens for row in rows),
                pad_token_id=self.end_ids[0],
            ),
            logits_processor=[batch.sample],
            stopping_criteria=[batch.ended],
        )

    def _admit(self, call: PendingCall) -> DecodingRow | None:
        request = call.request
        try:
            ids = prompt_ids(self.tokenizer, request, self.window)
            matcher = self._grammars.matcher(request) if is_bound(request) else None
        except QuillError as error:
            call.fail(error)
            return None
        generator = torch.Generator(self.model.device)
        if request.seed is None:
            generator.seed()
        else:
            generator.manual_seed(request.seed % 2**63)
        return DecodingRow(call, list(ids), generator, matcher)

    @cached_property
    def _grammars(self) -> Grammars:
        return Grammars(self.model, self.tokenizer, self.end_ids)

    def completion(self, row: DecodingRow, text: str, reason: str) -> Completion:
        """Make the completion of a row."""
        return Completion(
            text=text,
            finish_reason=reason,
            prompt_tokens=len(row.prompt_ids),
            completion_tokens=len(row.ids),
            trace=TokenTrace(
                prompt_ids=tuple(row.prompt_ids),
                completion_ids=tuple(row.ids),
                logprobs=tuple(row.logprobs),
                finish_reason=reason,
                weights_version=self.version,
            ),
            alternatives=self._alternatives(row) if row.call.request.top_logprobs else None,
            opened_thinking=opens_reply(self.tokenizer, row.prompt_ids),
        ).with_calls_read(row.call.request)

    def _alternatives(self, row: DecodingRow) -> tuple[Position, ...]:
        def alternative(place: int, token: int, logprob: float) -> Alternative:
            return Alternative(text=self._added(row.ids[:place], token), logprob=logprob)

        return tuple(
            position(
                alternative(place, token, logprob),
                [alternative(place, other, likely[other]) for other in likely if other != token],
            )
            for place, (token, logprob, likely) in enumerate(
                zip(row.ids, row.logprobs, row.likeliest, strict=True)
            )
        )

    def _added(self, before: list[int], token: int) -> str:
        """The text that a token adds; the last token of a split character adds all of it."""
        nearby = before[-4:]  # no character has more bytes
        decoded = self.tokenizer.decode(nearby, clean_up_tokenization_spaces=False)
        whole = self.tokenizer.decode([*nearby, token], clean_up_tokenization_spaces=False)
        return "" if whole.endswith(SPLIT) else whole[len(decoded.rstrip(SPLIT)) :]

    def text(self, row: DecodingRow) -> str:
        """Decode a row's tokens, without the special ones and without any tidying up."""
        may_call = row.call.request.may_call  # in some models the marks of calls are special
        ids = [each for each in row.ids if each not in self.end_ids] if may_call else row.ids
        decoded: str = self.tokenizer.decode(
            ids, skip_special_tokens=not may_call, clean_up_tokenization_spaces=False
        )
        return decoded


class StepSampler:
    """The callbacks of `generate` at each step: sample the rows, then report which have ended."""

    def __init__(self, rows: Sequence[DecodingRow], decoder: Decoder) -> None:
        self.rows, self.decoder = rows, decoder

    def sample(self, _ids_BT: Tensor, scores_BV: Tensor) -> Tensor:
        """Draw each live row's token; return scores that leave `generate` no other choice."""
        tokens = [self.decoder.end_ids[0]] * len(self.rows)
        live = [number for number, row in enumerate(self.rows) if not row.ended]
        if live:
            rows = [self.rows[number] for number in live]
            draws = sample_tokens(
                masked(penalised(scores_BV[live], rows), rows),
                [row.call.request for row in rows],
                [row.generator for row in rows],
            )
            for number, draw in zip(live, draws, strict=True):
                tokens[number] = draw.token
                self._take(self.rows[number], draw)
        forced_BV = torch.full_like(scores_BV, float("-inf"))
        chosen_B1 = torch.tensor(tokens, device=scores_BV.device).unsqueeze(1)
        return forced_BV.scatter_(1, chosen_B1, 0.0)

    def ended(self, ids_BT: Tensor, _scores_BV: Tensor, **_: object) -> Tensor:
        """Say for each row whether it has ended; the batch stops when all have."""
        return torch.tensor([row.ended for row in self.rows], device=ids_BT.device)

    def _take(self, row: DecodingRow, draw: Draw) -> None:
        token = draw.token
        row.ids.append(token)
        row.logprobs.append(draw.logprob)
        row.likeliest.append(draw.likeliest)
        if row.matcher is not None and not row.matcher.consume_token(token):
            row.call.fail(Refused(f"the JSON grammar broke off: {row.matcher.get_error()}"))
        elif (end := self._end(row, token)) is not None:
            text, reason = end
            row.call.answer(self.decoder.completion(row, text, reason))

    def _end(self, row: DecodingRow, token: int) -> tuple[str, str] | None:
        """The row's text and finish reason, if `token` was its last."""
        request = row.call.request
        stopped = token in self.decoder.end_ids
        spent = len(row.ids) == request.max_tokens
        if not (stopped or spent or request.stop):
            return None
        text = self.decoder.text(row)
        if cuts := [place for stop in request.stop if (place := text.find(stop)) >= 0]:
            return text[: min(cuts)], "stop"
        return (text, "stop" if stopped else "length") if stopped or spent else None


def penalised(scores_BV: Tensor, rows: Sequence[DecodingRow]) -> Tensor:
    """Lower the scores of the tokens that a row has read or written; changes `scores_BV`.

    As in CTRL (arXiv:1909.05858, section 4.1), of negative scores as Transformers and vLLM do it.
    """
    for scores_V, row in zip(scores_BV, rows, strict=True):
        penalty = row.call.request.repetition_penalty
        if penalty != 1:
            seen_N = torch.tensor([*{*row.prompt_ids, *row.ids}], device=scores_V.device)
            scores_N = scores_V[seen_N]
            scores_V[seen_N] = torch.where(scores_N > 0, scores_N / penalty, scores_N * penalty)
    return scores_BV


def masked(scores_BV: Tensor, rows: Sequence[DecodingRow]) -> Tensor:
    """Rule out what a row's grammar does not allow next; changes `scores_BV`."""
    for scores_V, row in zip(scores_BV, rows, strict=True):
        if row.matcher is not None:
            bits = np.frombuffer(row.matcher.compute_bitmask(), np.uint8)
            allowed = np.unpackbits(bits, bitorder="little")[: len(scores_V)].astype(bool)
            forbidden_V = torch.from_numpy(~allowed).to(scores_V.device)
            scores_V.masked_fill_(forbidden_V, float("-inf"))
    return scores_BV


def _end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> tuple[int, ...]:
    """The tokens that end a reply.

    The generation config is asked first: a tokenizer converted from GGUF may name another.
    """
    ids = model.generation_config.eos_token_id
    if ids is None:
        ids = tokenizer.eos_token_id
    return (ids,) if isinstance(ids, int) else tuple(ids)
