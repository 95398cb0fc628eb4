"""Run a program as a process of its own that has the training libraries already.

It is the first program of a fork of `multiprocessing`'s fork server; `JOB` is handed to it as a
global. Arguments, environment, streams and exit status are those of the program that it runs.
"""

import os
import runpy
import sys
from typing import Any

JOB: dict[str, Any] = globals()["JOB"]

os.environ.update(JOB["environment"])
log = os.open(JOB["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for stream in (1, 2):
    os.dup2(log, stream)
sys.argv = [JOB["program"], *JOB["arguments"]]
runpy.run_path(JOB["program"], run_name="__main__")
