"""How commands fail: one readable line on stderr and the exit status that belongs to it."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def reporting(*, debug: bool) -> Iterator[None]:
    """Turn whatever a command raises into a message and an exit status.

    Statuses: 0 done, 2 wrong usage or configuration, 3 a backend failed, 4 a budget was
    reached, 1 anything else.
    """
    from quillgraph.backends.errors import QuillError

    try:
        yield
    except QuillError as error:
        _say(str(error), debug=debug)
        raise typer.Exit(error.exit_status) from error
    except KeyboardInterrupt as error:
        _say("stopped; what was finished is kept", debug=False)
        raise typer.Exit(1) from error
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        _say(f"unexpected {type(error).__name__}: {error} (--debug shows where)", debug=debug)
        raise typer.Exit(1) from error


def _say(message: str, *, debug: bool) -> None:
    if debug:
        traceback.print_exc(file=sys.stderr)
    sys.stderr.write(f"quillgraph: {message}\n")
