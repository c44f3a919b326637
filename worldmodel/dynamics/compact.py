"""Training the compact predictor, stage by stage, on cached latents of undirected data.

1. *code*: what of a frame the arm's own state does not tell (`worldmodel.dynamics.code`).
2. *arm*: reading the arm's features off the image (`worldmodel.dynamics.arm`).
3. *scenes*: when two frames show the same scene (`worldmodel.dynamics.scenes`).
4. *dynamics*: the ensemble on scene codes (`worldmodel.dynamics.ensemble`).
5. *value*: goal-conditioned value (`worldmodel.dynamics.value`).
6. *prior*: what usually leads to goals (`worldmodel.dynamics.prior`).
7. *reachability*: the temporal distance to goals (`worldmodel.dynamics.reachability`).
8. *doubts*: where the imagination errs (`worldmodel.dynamics.doubts`).
9. *macros*: macro-actions, slow dynamics and macro prior (`worldmodel.dynamics.macros`).

No stage sees a reward, a success label or the simulator. A stage of 0 steps leaves its part as it
was, which with ``init`` is how one part of a world is trained anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

import torch
from pydantic.dataclasses import dataclass

from worldmodel.dynamics.arm import ArmTraining, train_arm
from worldmodel.dynamics.code import CodeTraining, train_code
from worldmodel.dynamics.doubts import DoubtsTraining, train_doubts
from worldmodel.dynamics.ensemble import EnsembleTraining, train_ensemble
from worldmodel.dynamics.macros import MacrosTraining, train_macros
from worldmodel.dynamics.prior import PriorTraining, train_prior
from worldmodel.dynamics.reachability import ReachabilityTraining, train_reachability
from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.scenes import ScenesTraining, train_scenes
from worldmodel.dynamics.stage import Workbench
from worldmodel.dynamics.value import ValueTraining, train_value
from worldmodel.predictors.compact import CompactPredictor
from worldmodel.settings import CHECKED, Seed
from worldmodel.training_log import TrainingLog
from worldmodel.training_state import TrainingState

__all__ = ["CompactTraining", "train_compact"]


@dataclass(frozen=True, config=CHECKED)
class CompactTraining:
    """Settings of the stages. Batches count windows, transitions or pairs of frames.

    Attributes:
        code: Stage 1.
        arm: Stage 2.
        scenes: Stage 3.
        dynamics: Stage 4.
        value: Stage 5.
        prior: Stage 6.
        reachability: Stage 7.
        doubts: Stage 8.
        macros: Stage 9.
        seed: Of everything.
    """

    code: CodeTraining = field(default_factory=CodeTraining)
    arm: ArmTraining = field(default_factory=ArmTraining)
    scenes: ScenesTraining = field(default_factory=ScenesTraining)
    dynamics: EnsembleTraining = field(default_factory=EnsembleTraining)
    value: ValueTraining = field(default_factory=ValueTraining)
    prior: PriorTraining = field(default_factory=PriorTraining)
    reachability: ReachabilityTraining = field(default_factory=ReachabilityTraining)
    doubts: DoubtsTraining = field(default_factory=DoubtsTraining)
    macros: MacrosTraining = field(default_factory=MacrosTraining)
    seed: Seed = 0


def _stages(config: CompactTraining) -> list[tuple[int, Callable[[Workbench], None]]]:
    """Iterations of each stage, and the stage."""
    return [
        (config.code.steps, lambda bench: train_code(bench, config.code)),
        (config.arm.steps, lambda bench: train_arm(bench, config.arm)),
        (config.scenes.steps, lambda bench: train_scenes(bench, config.scenes)),
        (config.dynamics.steps, lambda bench: train_ensemble(bench, config.dynamics)),
        (config.value.steps, lambda bench: train_value(bench, config.value)),
        (config.prior.steps, lambda bench: train_prior(bench, config.prior, config.value)),
        (config.reachability.steps, lambda bench: train_reachability(bench, config.reachability)),
        (config.doubts.steps, lambda bench: train_doubts(bench, config.doubts)),
        (config.macros.steps, lambda bench: train_macros(bench, config.macros, config.value)),
    ]


def train_compact(
    model: CompactPredictor, data: Recordings, config: CompactTraining, state: TrainingState
) -> None:
    """Train all stages in place; the model is in evaluation mode afterwards.

    A killed run, called again with an equal model, goes on after the last complete stage to the
    same weights.
    """
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    train_rows = data.rows(data.train)
    model.scale_actions.fit(data.actions[train_rows])
    model.state_features.fit(data.states[train_rows])
    done = 0
    if (saved := state.load()) is not None:
        model.load_state_dict(saved["model"])
        generator.set_state(saved["generator"])
        torch.set_rng_state(saved["global_generator"])
        done = saved["stages"]
    stages = _stages(config)
    total, start = sum(steps for steps, _ in stages), sum(steps for steps, _ in stages[:done])
    with TrainingLog(state.folder, "train", total=total, start=start) as log:
        bench = Workbench(model, data, generator, log, start)
        for number, (_, stage) in enumerate(stages[done:], start=done + 1):
            stage(bench)
            state.save(
                {
                    "stages": number,
                    "model": model.state_dict(),
                    "generator": generator.get_state(),
                    "global_generator": torch.get_rng_state(),
                }
            )
    model.eval()
