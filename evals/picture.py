"""Pictures for `--plot`, drawn by matplotlib."""

from pathlib import Path
from typing import Any

from quillgraph.backends.errors import ConfigError, StorageError


def picture() -> Any:
    """The module that draws, set to need no screen.

    Raises:
        ConfigError: If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ConfigError("--plot needs matplotlib: pip install 'quillgraph[plot]'") from error
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def save(figure: Any, file: Path) -> None:
    """Write a picture and free its memory.

    Raises:
        StorageError: If the file cannot be written.
    """
    try:
        figure.savefig(file, dpi=150)
    except (OSError, ValueError) as error:
        raise StorageError(f"cannot write {file}: {error}") from error
    finally:
        picture().close(figure)
