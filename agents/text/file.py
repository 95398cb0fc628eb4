"""Text in a file."""

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
