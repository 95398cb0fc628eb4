"""Text in a file: whole, or line by line."""

from pathlib import Path

from quillgraph.backends.errors import InputError


def read_text(file: Path) -> str:
    """Read a file of UTF-8 text.

    Raises:
        InputError: If it cannot be read, or holds something else.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeError as error:
        place = getattr(error, "start", 0)
        raise InputError(
            f"expected UTF-8 text in {file}, got something else at byte {place}; save it as UTF-8"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error


def read_lines(file: Path) -> list[tuple[int, str]]:
    """Read the lines of a file, such as JSON lines, that are not blank, with their numbers.

    A line ends with a line feed alone: JSON may hold other separators, such as U+2028. A byte
    order mark before the first line and a carriage return behind a line are no part of it.

    Raises:
        InputError: As `read_text` does.
    """
    return numbered_lines(read_text(file))


def numbered_lines(text: str) -> list[tuple[int, str]]:
    """Cut a text as `read_lines` does."""
    lines = text.removeprefix("\ufeff").split("\n")
    return [(number, line.rstrip("\r")) for number, line in enumerate(lines, 1) if line.strip()]
