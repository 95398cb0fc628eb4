"""`quillgraph scorer`: train a judge on people's scores, and list the trained ones."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from quillgraph.agents.judges import ModelName, read_scorer, shipped, write_scorer
from quillgraph.backends import connect_embeddings
from quillgraph.backends.embeddings import SentenceEmbeddings
from quillgraph.backends.errors import ConfigError, InputError
from quillgraph.backends.transformers import HiddenStates, weights_hash
from quillgraph.backends.weights import cache_folder, resolve
from quillgraph.cli.session.progress import log_shown, plain_console
from quillgraph.evals.judges import EMBEDDER, LAYERS, READER, Material, Trained, train_scorer


def run_train_scorer(
    data: Sequence[Path], out: Path | None, features: Path | None, *, seed: int, as_json: bool
) -> None:
    """Train a scorer, write it, and show how the heads compared.

    Raises:
        QuillError: If the data or the folder is unusable.
    """
    if not data:
        raise InputError("expected --data FILE with texts that people have scored, got none")
    if out is None:
        raise ConfigError("expected --out DIR, a new folder for the scorer, got none")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"expected a new folder with --out, but {out} holds something already")
    console = plain_console(sys.stderr)
    material = Material.read(data)
    for line in material.skipped:
        console.print(f"left out: {line}", style="yellow", markup=False)
    with log_shown(console):
        reader = HiddenStates(
            Path(resolve(READER)), LAYERS, kept_in=features or cache_folder() / "features"
        )
        embeddings = connect_embeddings(EMBEDDER)
    assert isinstance(embeddings, SentenceEmbeddings)
    reader_name = ModelName(name=READER, sha256=weights_hash(reader.folder))
    embedder_name = ModelName(name=EMBEDDER, sha256=weights_hash(embeddings.folder))
    try:
        trained = train_scorer(
            material,
            reader,
            embeddings,
            (reader_name, embedder_name),
            name=out.resolve().name,
            seed=seed,
            progress=lambda line: console.print(line, style="dim", markup=False),
        )
    finally:
        reader.close()
    scorer = write_scorer(out, trained.config, trained.weights)
    if as_json:
        config = scorer.config.model_dump(mode="json")
        result = {"folder": str(out), **trained.as_dict(), "config": config}
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        Console().print(_heads(trained))
    console.print(
        f"scorer: {out}; judge by it with --judge scorer:{out}", style="dim", markup=False
    )


def show_scorers(*, as_json: bool) -> None:
    """List the scorers of the package, with their training data and accuracy."""
    configs = [read_scorer(name).config for name in shipped()]
    if as_json:
        sys.stdout.write(json.dumps([each.model_dump(mode="json") for each in configs]) + "\n")
        return
    table = Table("scorer", "language", "words", "trained on", "cross-validated")
    for each in configs:
        table.add_row(
            f"scorer:{each.name}",
            each.language,
            f"{each.words[0]} to {each.words[1]}",
            ", ".join(f"{file} ({count})" for file, count in each.trained_on.items()),
            ", ".join(f"{measure} {value:.2f}" for measure, value in each.validation.items()),
        )
    Console().print(table)


def _heads(trained: Trained) -> Table:
    """Scores of the heads on families of texts that they were not fitted to."""
    table = Table("head", "Spearman", "pairs of versions", title="Cross-validated, best first")
    for each in trained.validations:
        table.add_row(each.head, f"{each.spearman:.3f}", f"{each.pair_accuracy:.3f}")
    subject = trained.relevance
    table.add_row("subject", "", f"{subject.pair_accuracy:.3f}", style="dim")
    return table
