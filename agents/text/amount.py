"""Numbers in messages."""


def amount(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: `1 code`, `2 codes`."""
    return f"{number} {one if number == 1 else many or one + 's'}"
