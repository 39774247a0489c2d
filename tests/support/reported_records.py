"""Records that a report shows: what is in them besides the loss stays the same."""

from tuning.records import RunRecord

ATTACK = "OOM <script>alert('x')</script> | a\n[b](c) *d* `e` &amp;"


def make_record(run, *, loss, initial_loss=2.0, status="ok", message=""):
    return RunRecord(
        run_id=run.run_id,
        workload="digits",
        optimizer=run.optimizer,
        optimizer_config={"beta_1": 0.9},
        learning_rate=run.learning_rate,
        batch_size=run.batch_size,
        seed=run.seed,
        epochs=5,
        status=status,
        message=message,
        initial_loss=initial_loss,
        final_val_loss=loss,
        val_metrics={"accuracy": 0.5},
        history={"loss": [1.5, 1.25], "val_loss": [1.75, loss]},
        seconds=3.0,
        seconds_per_step=4.56e-4,
        state_bytes=1_230_000,
    )
