"""Libraries that come with `pip install 'quillgraph[evals]'`, imported where they are needed."""

from importlib import import_module
from types import ModuleType

from quillgraph.backends.errors import ConfigError


def from_extra(module: str, purpose: str) -> ModuleType:
    """Import a module of SciPy or scikit-learn.

    Args:
        module: Its dotted name.
        purpose: What needs it, as the subject of the message.

    Raises:
        ConfigError: If the library is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        library = {"scipy": "SciPy", "sklearn": "scikit-learn"}[module.partition(".")[0]]
        raise ConfigError(f"{purpose} need {library}: pip install 'quillgraph[evals]'") from error
