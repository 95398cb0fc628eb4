import asyncio
import json
import threading
from pathlib import Path

import numpy as np
import pytest

from quillgraph.backends.embeddings import (
    CACHED_TEXTS,
    LexicalEmbeddings,
    SentenceEmbeddings,
    connect_embeddings,
)
from quillgraph.backends.errors import ConfigError


@pytest.fixture(scope="module")
def minilm() -> SentenceEmbeddings:
    embeddings = connect_embeddings("minilm")
    assert isinstance(embeddings, SentenceEmbeddings)
    return embeddings


def test_lexical_vectors_are_trigram_counts_of_unit_length() -> None:
    # " aaaa " has the trigrams " aa", "aaa" twice, "aa ": length sqrt(1 + 4 + 1) = sqrt(6)
    vector = np.array(LexicalEmbeddings().embed_query("aaaa"))
    assert sorted(vector[vector > 0]) == pytest.approx([1 / 6**0.5, 1 / 6**0.5, 2 / 6**0.5])
    assert len(vector) == 512


def test_lexical_vectors_of_partly_shared_words_have_the_cosine_of_their_counts() -> None:
    # " ab " and " ac ": trigrams " ab", "ab " against " ac", "ac ": nothing shared
    # " ab " and " abc": " ab", "ab " against " ab", "abc", "bc ": 1 / sqrt(2 * 3)
    ab, ac, abc = (
        np.array(each) for each in LexicalEmbeddings().embed_documents(["ab", "ac", "abc"])
    )
    assert ab @ ac == pytest.approx(0)
    assert ab @ abc == pytest.approx(1 / 6**0.5)


def test_lexical_vectors_ignore_case_and_spacing() -> None:
    one, other = LexicalEmbeddings().embed_documents(["The  Sea\n", "the sea"])
    assert one == other


def test_a_blank_text_has_no_lexical_direction() -> None:
    assert not any(LexicalEmbeddings().embed_query(" \n"))


def test_chinese_has_lexical_vectors() -> None:
    one, other = LexicalEmbeddings().embed_documents(["海边的灯塔很安静", "海边的灯塔很吵闹"])
    assert 0 < np.dot(one, other) < 1
    assert any(LexicalEmbeddings().embed_query("海"))


def test_lexical_vectors_are_the_same_in_every_process() -> None:
    # 4-byte blake2b of " aa", "aaa" and "aa ", little-endian, modulo 512, in order of size
    assert np.flatnonzero(LexicalEmbeddings().embed_query("aaaa")).tolist() == [40, 53, 446]


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'lexical'"):
        connect_embeddings("lexicl")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no config\.json"):
        connect_embeddings(str(tmp_path))


def test_a_model_that_pools_in_another_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "1_Pooling").mkdir()
    pooling = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    with pytest.raises(ConfigError, match="asks for pooling_mode_cls_token"):
        connect_embeddings(str(tmp_path))


@pytest.mark.model
def test_equal_texts_have_cosine_one(minilm: SentenceEmbeddings) -> None:
    one, other = minilm.embed_documents(["A lighthouse keeper.", "A lighthouse keeper."])
    assert np.dot(one, other) == pytest.approx(1, abs=1e-6)


@pytest.mark.model
def test_a_paraphrase_is_nearer_than_another_subject(minilm: SentenceEmbeddings) -> None:
    text, paraphrase, other = minilm.embed_documents(
        [
            "The story should end on a hopeful note.",
            "Finish the tale with a sense of hope.",
            "Invoices are due within thirty days.",
        ]
    )
    assert np.dot(text, paraphrase) > 0.6 > 0.3 > np.dot(text, other)


@pytest.mark.model
def test_vectors_do_not_depend_on_what_shares_their_batch(minilm: SentenceEmbeddings) -> None:
    short, long = "Rain.", "It rained for days on the tin roof of the empty house. " * 5
    together = SentenceEmbeddings(minilm.folder).embed_documents([long, short])[1]
    alone = minilm.embed_query(short)
    # float32 sums in another order
    assert np.allclose(together, alone, atol=1e-5)


@pytest.mark.model
def test_vectors_keep_the_order_of_the_texts(minilm: SentenceEmbeddings) -> None:
    texts = ["one " * n for n in range(40, 0, -1)]  # more than a batch, longest first
    vectors = minilm.embed_documents(texts)
    assert vectors[39] == minilm.embed_query("one ")
    assert vectors[0] == minilm.embed_query("one " * 40)


@pytest.mark.model
async def test_chinese_long_and_blank_texts_have_unit_vectors(minilm: SentenceEmbeddings) -> None:
    vectors = await minilm.aembed_documents(["海边的灯塔", "word " * 2000, ""])
    assert [np.linalg.norm(each) for each in vectors] == pytest.approx([1, 1, 1], abs=1e-5)


@pytest.mark.model
async def test_many_callers_share_one_model(minilm: SentenceEmbeddings) -> None:
    fresh = SentenceEmbeddings(minilm.folder)
    vectors = await asyncio.gather(*(fresh.aembed_query(f"text {n % 4}") for n in range(16)))
    assert vectors[0] == vectors[4]
    assert threading.active_count() < 64


@pytest.mark.model
def test_only_the_last_texts_are_kept(minilm: SentenceEmbeddings) -> None:
    fresh = SentenceEmbeddings(minilm.folder)
    fresh._cache.update({f"old {n}": [0.0] for n in range(CACHED_TEXTS)})
    fresh.embed_query("new")
    assert len(fresh._cache) == CACHED_TEXTS
    assert "new" in fresh._cache
    assert "old 0" not in fresh._cache
