"""`quillgraph scorer`: judges that are trained. What is heavy is imported inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

from quillgraph.cli.session.options import AsJson, Choices, takes

scorer_app = typer.Typer(help="Judges that are trained on people's scores.", no_args_is_help=True)

Data = Annotated[
    list[Path] | None,
    typer.Option(
        help="File of texts that people have scored, or of requests with criteria and a text that "
        "meets them (BiGGen-Bench); both are needed, so give the option twice or more.",
        metavar="FILE",
    ),
]
Features = Annotated[
    Path | None,
    typer.Option(
        help="Folder to keep in what the model makes of each text, so that it is read once; "
        "default: one in the user's cache.",
        metavar="DIR",
    ),
]


@scorer_app.command("train")
@takes("seed")
def train_scorer(
    *,
    data: Data = None,
    out: Annotated[
        Path | None, typer.Option(help="New folder for the scorer.", metavar="DIR")
    ] = None,
    features: Features = None,
    choices: Choices,
    as_json: AsJson = False,
) -> None:
    """Train a scorer on what people have said; `--judge scorer:DIR` then judges by it.

    A frozen SmolLM2 reads each text once, which takes a CPU about half a second each.
    """
    from quillgraph.cli.evals.scorer import run_train_scorer

    seed = int(choices.values.get("seed", 0))
    run_train_scorer(data or [], out, features, seed=seed, as_json=as_json)


@scorer_app.command("list")
@takes()
def list_scorers(*, as_json: AsJson = False) -> None:
    """List the scorers that come with the package."""
    from quillgraph.cli.evals.scorer import show_scorers

    show_scorers(as_json=as_json)
