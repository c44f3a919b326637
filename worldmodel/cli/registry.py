"""The commands and the configuration schemas behind them, by name: listing them imports nothing."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COMMANDS", "PATHS", "SCHEMAS", "Command"]

# Keys whose values are paths, whatever the command: ``~`` is expanded in them, none may be empty.
PATHS = (
    "out",
    "data",
    "video",
    "cache",
    "checkpoint",
    "encoder_checkpoint",
    "random_encoder_checkpoint",
    "init",
    "source",
    "start",
    "goal",
)


@dataclass(frozen=True)
class Command:
    """A module of ``worldmodel.commands`` with a config dataclass and ``run(config)``.

    Attributes:
        summary: One line for ``worldmodel --help``.
        config: Name of the config dataclass in the module.
        groups: Configuration groups (folders of ``configs/``) that the command composes.
        module: The module, where it is not named like the command.
        subject: The key that may be given as a word of its own, without ``key=``.
    """

    summary: str
    config: str
    groups: tuple[str, ...] = ()
    module: str | None = None
    subject: str | None = None


COMMANDS = {
    "collect": Command(
        "record exploration episodes as a LeRobot v3 dataset", "CollectConfig", ("task",)
    ),
    "pretrain": Command("train the video encoder", "PretrainConfig", ("encoder", "training")),
    "train": Command(
        "train an action-conditioned predictor on cached latents", "TrainConfig", ("predictor",)
    ),
    "import": Command(
        "read V-JEPA 2 weights from Meta or Hugging Face: import SOURCE out=…",
        "ImportConfig",
        module="worldmodel.commands.import_weights",  # the other is a word of the language
        subject="source",
    ),
    "plan": Command(
        "plan episodes to goal images and report success", "PlanConfig", ("task", "planner")
    ),
    "landscape": Command(
        "draw the energies that a planner searches",
        "LandscapeConfig",
        ("task", "planner"),
        module="worldmodel.diagnostics.landscape.actions",
    ),
    "subgoals": Command(
        "draw the sub-goals of a planner on two time scales",
        "SubgoalsConfig",
        ("task", "planner"),
        module="worldmodel.diagnostics.subgoals",
    ),
    "diagnose": Command(
        "hold goal energies against the simulator's true cost",
        "DiagnoseConfig",
        ("task",),
        module="worldmodel.diagnostics.goal_energies",
    ),
    "acceptance": Command(
        "judge uncertainties by the true errors of plans",
        "AcceptanceConfig",
        ("task", "planner"),
        module="worldmodel.diagnostics.uncertainty",
    ),
    "study": Command(
        "compare encoders: pretrain, train and plan with each of them",
        "StudyConfig",
        module="worldmodel.studies.encoders",
    ),
    "bench": Command("measure plan latency", "BenchConfig", ("planner",)),
}

# The dataclasses behind the options of a group, whose YAML starts with `defaults: [<name>_schema]`.
SCHEMAS = {
    "encoder": {"small_schema": "worldmodel.encoders.vision_transformer:EncoderConfig"},
    "training": {
        "vjepa_schema": "worldmodel.pretraining.jepa:JepaTraining",
        "lewm_schema": "worldmodel.pretraining.lewm:LewmTraining",
    },
    "predictor": {
        "vector_schema": "worldmodel.commands.train:VectorRecipe",
        "tokens_schema": "worldmodel.commands.train:TokensRecipe",
    },
    "planner": {
        "cem_schema": "worldmodel.planners.optimizers.cem:CEMConfig",
        "cem_gradient_schema": "worldmodel.planners.optimizers.cem_gradient:CEMGradientConfig",
        "gradient_schema": "worldmodel.planners.optimizers.gradient:GradientConfig",
        "collocation_schema": "worldmodel.planners.optimizers.collocation:CollocationConfig",
        "hierarchical_schema": "worldmodel.planners.hierarchical:HierarchicalConfig",
        "icem_schema": "worldmodel.planners.optimizers.icem:ICEMConfig",
        "mppi_schema": "worldmodel.planners.optimizers.mppi:MPPIConfig",
        "retrieval_schema": "worldmodel.planners.retrieval:RetrievalConfig",
        "shooting_schema": "worldmodel.planners.optimizers.shooting:RandomShootingConfig",
        "vjepa2_ac_schema": "worldmodel.planners.optimizers.vjepa2_ac:VJEPA2ACConfig",
    },
    "task": {"task_schema": "worldmodel.agents.task:TaskConfig"},
}
