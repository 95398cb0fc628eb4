"""What a sub-package exports is what its `__all__` says."""

import importlib
from types import ModuleType

import pytest

TABLE = {
    "quillgraph": """
        connect connect_embeddings writing_task find_criteria judge write run_graph
        run_graphs train CriteriaSet Criterion Judgement Reward Episode Trajectory
        QuillError ConfigError __version__ compare_policies compare_criteria
    """,
    "quillgraph.backends": """
        connect connect_embeddings default_backend BackendSpec ChatBackend Capabilities
        capabilities_of require ChatRequest ChatTurn Completion ToolCall TokenTrace trace_of
        Position Alternative alternatives_of Recorder CallRecord read_records Budget
        Allowance ScriptedChat Cassette CassetteChat CassetteEmbeddings CassetteRecorder
        collecting_seldom QuillError ConfigError InputError BackendError BudgetReached
        ReplyError StorageError nearest
    """,
    "quillgraph.agents": """
        WritingTask writing_task Incident Draft Code Category Core Criterion CriteriaSet
        Check Constraint find_constraints Role say ask ask_each Answers render form one_of
        some_of Judge PromptedJudge PromptedPairJudge trained_judge Ballot Verdict Violation
        Judgement Reward reward refusal Lesson MemoryEntry
    """,
    "quillgraph.graphs": """
        run_graph run_graphs Episode WrittenEpisode Attempt Failure EpisodeSource
        episode_source durable build GRAPHS Study Grounding ROLES Workshop Assignment Arena
        Panel Memory Library find_criteria judge_text write nodes provenance
    """,
    "quillgraph.rl": """
        train check TrainConfig load_config MRPOTrainer MRPOConfig criteria_reward
        RewardRules JudgeQueue trajectory Trajectory Row group_credit node_credit
        by_evidence by_service criterion_parts advantages hard_gate active_criteria
        row_origins trace_rows
    """,
    "quillgraph.evals": """
        load RatedText Preference RubricRequest HumanCriterion Estimate cluster_bootstrap
        paired_bootstrap cohen_kappa krippendorff_alpha pair_accuracy spearman
        spearman_within Calibration judge_report criteria_report policy_report
        compare_policies compare_criteria
    """,
}
"""What people are told that they can import."""

PACKAGES = [
    "quillgraph.backends",
    "quillgraph.agents",
    "quillgraph.graphs",
    "quillgraph.rl",
    "quillgraph.evals",
]  # of cli, the command is public


def _exported(package: ModuleType) -> set[str]:
    return {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }


@pytest.mark.filterwarnings("ignore")  # of the libraries' own imports
@pytest.mark.parametrize("name", PACKAGES)
def test_each_package_exports_what_it_says(name: str) -> None:
    package = importlib.import_module(name)
    said = package.__all__
    assert len(said) == len(set(said))
    assert _exported(package) - set(said) == set()
    assert [each for each in said if not hasattr(package, each)] == []


@pytest.mark.filterwarnings("ignore")
def test_names_that_are_looked_up_late_are_those_of_their_modules() -> None:
    rl = importlib.import_module("quillgraph.rl")
    assert set(rl._PLACES) == set(rl.__all__)
    for name, place in rl._PLACES.items():
        found = getattr(rl, name)
        assert (found.__module__, found.__name__) == (f"quillgraph.rl.{place}", name)
    with pytest.raises(AttributeError, match=r"'quillgraph\.rl' has no attribute 'nothing'"):
        _ = rl.nothing


def test_every_name_of_the_front_door_is_found_and_listed() -> None:
    import quillgraph

    assert [name for name in quillgraph.__all__ if getattr(quillgraph, name, None) is None] == []
    assert set(quillgraph.__all__) <= set(dir(quillgraph))


def test_a_name_that_the_front_door_does_not_have_is_an_attribute_error() -> None:
    import quillgraph

    with pytest.raises(AttributeError, match="'quillgraph' has no attribute 'find_criterion'"):
        quillgraph.find_criterion  # noqa: B018  # looking it up is the test


@pytest.mark.parametrize("package", TABLE)
def test_every_public_name_can_be_imported(package: str) -> None:
    module = importlib.import_module(package)
    assert [name for name in TABLE[package].split() if not hasattr(module, name)] == []
    assert set(TABLE[package].split()) <= set(module.__all__)
