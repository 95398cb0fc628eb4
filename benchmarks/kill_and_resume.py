"""Does a repeatedly killed batch end complete, without repeating a finished call?

Run: python benchmarks/kill_and_resume.py [--backend SPEC] [--kills 10]
A batch of 20 requests (a draft each, judged on three criteria) is started as its own process
and killed with SIGKILL at random moments; after each kill it is resumed. At the end the
recorder's file is read: every request must have exactly one episode, and no answered call may
have been repeated. Prints the results and stores them in
benchmarks/results/kill_and_resume.json.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from quillgraph.graphs.episodes import read_calls, read_episodes

HERE = Path(__file__).parent
CRITERIA = HERE.parent / "examples" / "scripts" / "ferry.criteria.json"
COMMAND = str(Path(sys.executable).with_name("quillgraph"))

PLACES = ("a ferry in fog", "a night train", "a closed bakery", "a roof in rain", "a lighthouse")
FORMS = ("a short scene", "a letter", "a poem without rhymes", "a speech of one breath")
DRAFTS = 1


def batch() -> str:
    """Twenty requests, a line each."""
    requests = [f"Write {form} about {place}." for form in FORMS for place in PLACES]
    return "".join(json.dumps({"request": each, "n": DRAFTS}) + "\n" for each in requests)


def begun(folder: Path, backend: str) -> list[str]:
    """The command that starts the batch, or resumes it."""
    if (folder / "run" / "run.json").exists():
        return [COMMAND, "run", "--resume", str(folder / "run")]
    words = ["best_of_n", "--input", folder / "batch.jsonl", "--criteria", CRITERIA]
    measures = ["--samples", 1, "--text-tokens", 24, "--out", folder / "run"]
    return [COMMAND, "run", *map(str, [*words, "--backend", backend, *measures])]


def answered(folder: Path) -> int:
    """Number of calls that the model has answered; replayed calls do not count."""
    file = folder / "run" / "calls.jsonl"
    lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
    return sum(b'"replayed":true' not in line for line in lines)


def killed(folder: Path, backend: str, after: int, draws: random.Random) -> dict[str, Any]:
    """Run until this many more calls are answered, wait a random moment, and kill."""
    before = answered(folder)
    run = subprocess.Popen(
        begun(folder, backend), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while answered(folder) < before + after and run.poll() is None:
        time.sleep(0.01)
    time.sleep(draws.uniform(0, 0.5))
    was_running = run.poll() is None
    run.send_signal(signal.SIGKILL)
    run.wait()
    return {"was_running": was_running, "answered": answered(folder) - before}


def outcome_of(folder: Path, kills: list[dict[str, Any]], backend: str) -> dict[str, Any]:
    """The outcome, read from the files of the run."""
    records, episodes = read_calls(folder / "run"), read_episodes(folder / "run")
    paid = [call for call in records if not call.replayed and call.error is None]
    times_paid = Counter((call.run, call.request_sha256) for call in paid)
    lines = (folder / "run" / "episodes.jsonl").read_text(encoding="utf-8").splitlines()
    return {
        "backend": backend,
        "kills": kills,
        "requests": len(batch().splitlines()),
        "episodes": len(lines),
        "requests_with_one_episode": sum(
            1 for times in Counter(json.loads(line)["id"] for line in lines).values() if times == 1
        ),
        "calls_answered": len(paid),
        "calls_replayed": sum(call.replayed for call in records),
        "finished_calls_repeated": sum(times - 1 for times in times_paid.values()),
        "calls_in_episodes": sum(len(each.calls) for each in episodes.values()),
    }


def main(backend: str, kills: int, seed: int) -> None:
    """Kill, resume, check, store."""
    draws = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "batch.jsonl").write_text(batch(), encoding="utf-8")
        # a draft and a verdict on each of three criteria
        calls = len(batch().splitlines()) * DRAFTS * 4
        stops = []
        for number in range(kills):
            stops.append(killed(folder, backend, draws.randint(1, calls // (kills + 1)), draws))
            print(f"kill {number + 1}: {stops[-1]}", flush=True)
        last = subprocess.run(begun(folder, backend), capture_output=True, text=True, check=False)
        if last.returncode:
            sys.exit(f"the last run ended with {last.returncode}: {last.stderr[-500:]}")
        result = outcome_of(folder, stops, backend)
    print(json.dumps(result, indent=1))
    (HERE / "results").mkdir(exist_ok=True)
    text = json.dumps(result, indent=1) + "\n"
    (HERE / "results" / "kill_and_resume.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--backend", default="transformers:smollm2-135m?max_concurrency=4")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(options.backend, options.kills, options.seed)
