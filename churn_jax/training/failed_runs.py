"""Runs whose numbers went wrong: named, marked in the workdir, and left out from then on.

The step itself stops such a run (`step.train_step`). Here it is said, logged and written
where `storage.workdir` says.
"""

import numpy as np
from etils import epath

from churn_jax.errors import UserError
from churn_jax.parallel import sharding
from churn_jax.storage.workdir import (
    FailedRun,
    checkpoint_steps,
    read_failed_runs,
    write_failed_runs,
)
from churn_jax.system.console import is_first, say
from churn_jax.training.checkpoints import Checkpoints
from churn_jax.training.experiment import Experiment
from churn_jax.training.metrics_log import MetricsLog, NoLog
from churn_jax.training.step import TrainState


def failed_runs(experiment: Experiment, state: TrainState) -> dict[int, int]:
    """{run: the step at which it failed}."""
    failed_at = sharding.to_host(state.failed_at)[:, 0]
    return {
        int(run): int(step) for run, step in zip(experiment.runs, failed_at, strict=True) if step
    }


class Failures:
    """What is known of failed runs while a training goes on."""

    def __init__(
        self,
        workdir: epath.Path,
        experiment: Experiment,
        checkpoints: Checkpoints,
        log: MetricsLog | NoLog,
        state: TrainState,
    ):
        """Takes up what the workdir says of the failures that `state` has."""
        self._workdir, self._experiment, self._log = workdir, experiment, log
        self._checkpoints = checkpoints
        written = read_failed_runs(workdir)
        failed = failed_runs(experiment, state)
        self._known = {
            run: entry for run, entry in written.items() if failed.get(run) == entry.step
        }
        if written != self._known:
            self._write()  # it resumes before what failed last time
        self.check(state)

    def check(self, state: TrainState) -> None:
        """Says and marks what has failed since the last call.

        Raises:
          UserError: the config wants all to stop, or too few runs are left to compare.
        """
        failed = failed_runs(self._experiment, state)
        for run, step in failed.items():
            if run not in self._known:
                self._note(run, step)
        config = self._experiment.config
        left = config.runs - len(failed)
        if failed and (config.on_failed_run == "stop" or left < min(config.runs, 2)):
            raise UserError(
                f"{self._workdir}: runs {sorted(failed)} failed, {left} of {config.runs} are left: "
                "loss or gradients were not finite (a lower config.optimizer.learning_rate, or "
                "config.optimizer.clip_norm, may help)"
            )

    def hide(self, metrics: dict[str, np.ndarray], state: TrainState) -> dict[str, np.ndarray]:
        """Metrics [run, member] with NaN for the runs that have failed."""
        failed = sharding.to_host(state.failed_at) != 0
        return {name: np.where(failed, np.nan, value) for name, value in metrics.items()}

    def _note(self, run: int, step: int) -> None:
        self._checkpoints.wait()
        good = max((s for s in checkpoint_steps(self._workdir) if s < step), default=None)
        self._known[run] = FailedRun(step, good)
        say(
            f"run {run} failed: its loss or gradients were not finite at step {step}; "
            f"it is stopped (last good checkpoint: {good})"
        )
        epoch = step / self._experiment.steps_per_epoch
        self._log.write("failed_run", step, epoch, {"run": np.asarray(run)})
        self._write()

    def _write(self) -> None:
        if is_first():
            write_failed_runs(self._workdir, self._known)
