"""Where in code that is not ours something gave way."""

import sysconfig
import traceback
from pathlib import Path


def own_line(error: BaseException) -> str:
    """The innermost line of a graph's own code: not ours, Python's or an installed package's.

    Returns:
        As ` (file.py, line 7)`, or nothing where there is no such line.
    """
    others = (
        "site-packages",
        sysconfig.get_path("stdlib"),
        "<frozen ",
        str(Path(__file__).parents[2]),
    )
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if not any(part in each.filename for part in others)]
    if not own:
        return ""
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})"
