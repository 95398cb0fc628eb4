"""What a policy's chat template does to its replies."""

from typing import Any

import pytest

pytest.importorskip("transformers")


@pytest.mark.parametrize(
    ("behind", "opens"),
    [("", False), ("<think>\n", True), ("<think>\n\n</think>\n\n", False), ("[THINK]", True)],
)
def test_a_template_that_opens_the_thinking_is_known(
    tokenizer: Any, behind: str, opens: bool
) -> None:
    from quillgraph.rl.run.policy import TrainablePolicy

    own: Any = type(tokenizer)(
        tokenizer_object=tokenizer.backend_tokenizer, eos_token="<|im_end|>", pad_token="<pad>"
    )
    mark = "<|im_start|>assistant\n"
    own.chat_template = tokenizer.chat_template.replace(mark, mark + behind)
    model: Any = None
    assert TrainablePolicy(model, own, "folder", "base").opens_thinking is opens
