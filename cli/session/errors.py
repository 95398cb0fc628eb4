"""How commands fail: one readable line on stderr, and an exit status for each kind."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def reporting(*, debug: bool) -> Iterator[None]:
    """Turn any exception of a command into a message and an exit status.

    Statuses: 0 done, 2 wrong usage or configuration, 3 a backend failed, 4 a budget was
    reached, 1 anything else.
    """
    from quillgraph.backends.errors import CassetteMiss, QuillError, ReplyError

    try:
        yield
    except ReplyError as error:
        record = "calls.jsonl in the run folder has every reply"
        _say(f"{error}; {record}; {error.remedy}", debug=debug)
        raise typer.Exit(error.exit_status) from error
    except CassetteMiss as error:
        message, *difference = str(error).split("\n")
        _say(message, *difference, debug=debug)
        raise typer.Exit(error.exit_status) from error
    except QuillError as error:
        _say(str(error), debug=debug)
        raise typer.Exit(error.exit_status) from error
    except KeyboardInterrupt as error:
        _say("interrupted", debug=debug)
        raise typer.Exit(1) from error
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise  # typer's own business; it knows what to do about a closed pipe, too
    except Exception as error:
        _say(f"unexpected {type(error).__name__}: {error} (--debug shows where)", debug=debug)
        raise typer.Exit(1) from error


def _say(message: str, *more: str, debug: bool) -> None:
    from quillgraph.agents.text import visible

    if debug:
        traceback.print_exc(file=sys.stderr)
    # errors of YAML parsers and servers span many lines
    sys.stderr.write(f"quillgraph: {visible(' '.join(message.split()))}\n")
    sys.stderr.writelines(f"  {visible(line)}\n" for line in more)
