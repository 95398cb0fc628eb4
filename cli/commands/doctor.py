"""`quillgraph doctor`: what works on this machine, and how to fix the rest."""

from collections.abc import Sequence
from dataclasses import asdict

import typer
from rich.console import Console
from rich.text import Text

from quillgraph.backends.doctor import Diagnosis, diagnose
from quillgraph.cli.display.items import write_json


def run_doctor(*, as_json: bool) -> None:
    """Check the machine and show the findings.

    Raises:
        Exit: With status 1 if a finding is trouble.
    """
    findings = diagnose()
    if as_json:
        write_json([asdict(finding) for finding in findings])
    else:
        show_findings(findings)
    if any(finding.state == "trouble" for finding in findings):
        raise typer.Exit(1)


def show_findings(findings: Sequence[Diagnosis]) -> None:
    """Print each finding on a line, and its remedy on the next."""
    console = Console(soft_wrap=True, highlight=False)
    colours = {"ok": "green", "absent": "yellow", "trouble": "red"}
    width = max(len(finding.topic) for finding in findings)
    for finding in findings:
        state = (f"{finding.state:8}", colours[finding.state])
        console.print(Text.assemble(state, f"{finding.topic:{width}}  {finding.found}"))
        if finding.advice:
            console.print(Text(f"{'':{width + 8}}  → {finding.advice}", style="dim"))
