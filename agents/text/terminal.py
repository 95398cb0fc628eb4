"""Text for a terminal, without control characters that would command it."""

_CONTROLS = [code for code in (*range(32), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"]

_VISIBLE = {
    code: chr(0x2400 + code) if code < 32 else "\N{REPLACEMENT CHARACTER}" for code in _CONTROLS
}


def visible(text: str) -> str:
    """Replace control characters by their pictures, so that a request cannot steer a terminal."""
    return text.translate(_VISIBLE)
