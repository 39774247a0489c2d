"""Runs whose losses are given instead of trained."""

from sweep_values import make_record

from tuning.engines.engine import Finished


def record_of(run, **changes):
    return make_record(
        run.seed,
        **{
            "run_id": run.run_id,
            "optimizer": run.optimizer,
            "learning_rate": run.learning_rate,
            "batch_size": run.batch_size,
            "best_val_loss": 0.5,
            "initial_loss": 2.0,
            **changes,
        },
    )


class Runs:
    """Workers that train nothing: the run that has waited longest ends first."""

    def __init__(self, outcome, workers=1):
        self.workers, self._outcome = workers, outcome
        self._under_way = []
        self.done = []

    def start(self, worker, run):
        assert all(worker != other for other, _ in self._under_way)
        self._under_way.append((worker, run))

    def next_finished(self):
        worker, run = self._under_way.pop(0)
        self.done.append((worker, run))
        return Finished(worker, self._outcome(run))
