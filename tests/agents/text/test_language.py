import subprocess
import sys

import pytest

from quillgraph.agents.text.language import UNDETERMINED, language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Write a poem", "en"),
        ("Write a short story about a lighthouse keeper who is afraid of the dark.", "en"),
        ("写诗", "zh"),
        ("請寫一封信", "zh"),
        ("用电影 Interstellar 的方式写一章小说", "zh"),
        ("もっと深い俳句にしてください。", "ja"),
        ("春についての詩", "ja"),
        ("봄에 관한 시를 써 줘", "ko"),
        ("Escribe un poema breve sobre conejos en la Luna.", "es"),
        ("Écris une lettre à ma grand-mère sur le jardin.", "fr"),
        ("Schreibe eine Geschichte über einen alten Schmiedehammer.", "de"),
        ("Напиши красивое четверостишие о городе", "ru"),
        ("Viết một bài hát về mùa thu", "vi"),
        ("اكتب قصيدة عن البحر", "ar"),
    ],
)
def test_the_language_of_short_requests_is_known(text: str, language: str) -> None:
    assert language_of(text) == language


def test_an_english_request_that_quotes_chinese_is_english() -> None:
    # 2 Chinese characters count as 6 letters, against more than 40 Latin ones
    assert language_of("Write a story about the meaning of the word 故乡 for children.") == "en"


@pytest.mark.parametrize("text", ["", "   \n", "123 -- 456", "🎈🎈"])
def test_a_text_without_letters_has_no_language(text: str) -> None:
    assert language_of(text) == UNDETERMINED


def test_the_model_is_not_loaded_on_import() -> None:
    code = "import sys, quillgraph.agents.text.language; sys.exit('py3langid' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
