"""Sweeps by `RobustnessTuner`, used as KerasTuner's own tuners are."""

import os
import subprocess
import sys

import hyper_training
import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from hyper_training import DATA, SEEN, X_VAL, Y_VAL, OwnFit, X, Y, build_model
from places import PYTHONPATH

import tuning
from tuning import RobustnessTuner, read_records
from tuning.runs_file import RUNS_FILE

SMALL = {
    "objective": "val_loss",
    "optimizers": ["keras.Adam"],
    "learning_rates": [0.1],
    "batch_sizes": [10],
    "seeds": 1,
    "learning_rate": "lr",
}
SAME = ("run_id", "status", "initial_loss", "history")


def make_tuner(directory, hypermodel=build_model, **changes):
    arguments = {**SMALL, "directory": directory, "project_name": "p", **changes}
    return RobustnessTuner(hypermodel, **arguments)


def facts(directory):
    records = read_records(directory)
    return {r.run_id: [getattr(r, name) for name in SAME] for r in records}


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search of two learning rates with two seeds, of which one trial is kept."""
    directory = tmp_path_factory.mktemp("tuner")
    grid = {"learning_rates": [0.001, 0.1], "seeds": 2}
    tuner = make_tuner(directory, checkpoints=True, **grid)
    SEEN.clear()
    tuner.search(
        X, Y, epochs=2, validation_data=(X_VAL, Y_VAL), class_weight={0: 2, 1: 1, 2: 1}
    )
    return tuner, directory / "p", grid, list(SEEN)


def test_it_is_a_tuner_of_kerastuner_whose_trials_are_settings(searched):
    tuner, place, _, _ = searched
    assert isinstance(tuner, keras_tuner.Tuner)
    assert isinstance(tuner.oracle, keras_tuner.Oracle)
    records = read_records(place)
    assert len(records) == 4
    assert {r.execution for r in records} == {"model.fit"}
    best, worst = tuner.oracle.get_best_trials(5)
    assert best.score == pytest.approx(
        np.mean([min(r.history["val_loss"]) for r in records if r.learning_rate == 0.1])
    )
    assert best.score < worst.score
    assert best.metrics.get_best_value("val_loss") == best.score


def test_the_best_hyperparameters_have_the_axes_and_the_names_of_the_user(searched):
    tuner = searched[0]
    (best,) = tuner.get_best_hyperparameters()
    assert best.values == {
        "units": 8,
        "activation": "relu",
        "lr": 0.1,
        "optimizer": "keras.Adam",
        "learning_rate": 0.1,
        "batch_size": 10,
    }
    model = tuner.hypermodel.build(best)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1)


def test_builds_get_the_learning_rate_of_their_run(searched):
    # One trial build has the default, and one tells whether seeds matter.
    assert sorted(values["lr"] for values in searched[3][-4:]) == [
        0.001,
        0.001,
        0.1,
        0.1,
    ]
    assert {values["units"] for values in searched[3]} == {8}


def test_summaries_say_what_is_swept_and_what_came_out(searched, capsys):
    tuner = searched[0]
    tuner.search_space_summary()
    shown = capsys.readouterr().out
    assert "lr (Choice)" in shown
    assert "[0.001, 0.1]" in shown
    assert "units (Fixed)" in shown
    tuner.results_summary(1)
    shown = capsys.readouterr().out
    assert "Trial keras.Adam, batch size 10, learning rate 0.1" in shown
    assert "learning rate 0.001" not in shown


def test_the_best_model_has_the_weights_of_its_best_epoch(searched):
    tuner, place, _, _ = searched
    (model,) = tuner.get_best_models()
    loss, _ = model.evaluate(X_VAL, Y_VAL, verbose=0)
    best = min(read_records(place), key=lambda record: record.best_val_loss)
    assert loss == pytest.approx(best.best_val_loss, rel=1e-5)
    assert type(model.optimizer) is keras.optimizers.Adam
    assert int(model.optimizer.iterations) in (5, 10)
    # Only what is useful is kept.
    kept = [path.parent for path in place.rglob("*.weights.h5")]
    assert kept == [place / "checkpoints" / best.run_id]


def test_more_models_than_were_kept_are_refused(searched):
    with pytest.raises(ValueError, match="give checkpoints=2 to the tuner"):
        searched[0].get_best_models(2)


def test_report_and_recommendation_are_those_of_the_sweep(searched):
    tuner, place, _, _ = searched
    assert tuner.report() == place / "report.html"
    assert "keras.Adam" in tuner.report().read_text()
    assert tuner.recommend() == tuning.recommend(place)


def test_a_new_tuner_sees_the_results_and_has_nothing_left_to_train(searched):
    _, directory, grid, _ = searched
    again = make_tuner(directory.parent, checkpoints=True, **grid)
    assert again.oracle.get_best_trials(1)[0].hyperparameters.get("lr") == 0.1
    written = (directory / RUNS_FILE).read_bytes()
    options = {"epochs": 2, "class_weight": {0: 2, 1: 1, 2: 1}}
    again.search(X, Y, validation_data=(X_VAL, Y_VAL), **options)
    assert (directory / RUNS_FILE).read_bytes() == written
    assert len(again.get_best_models()) == 1


def test_a_search_that_was_killed_goes_on(searched, tmp_path):
    _, place, grid, _ = searched
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "sweep.json").write_bytes((place / "sweep.json").read_bytes())
    lines = (place / RUNS_FILE).read_text().splitlines(keepends=True)
    (tmp_path / "p" / RUNS_FILE).write_text("".join(lines[:3]) + lines[3][:50])
    tuner = make_tuner(tmp_path, **grid)
    tuner.search(**DATA, epochs=2, class_weight={0: 2, 1: 1, 2: 1}, verbose=0)
    assert facts(tmp_path / "p") == facts(place)


def test_other_values_of_hyperparameters_are_another_sweep(searched):
    _, place, grid, _ = searched
    other = make_tuner(place.parent, hyperparameters={"activation": "tanh"}, **grid)
    with pytest.raises(ValueError, match=r"hyperparameters is .*relu.* there, .*tanh"):
        other.search(**DATA, epochs=2, class_weight={0: 2, 1: 1, 2: 1})


def test_overwrite_starts_over_at_the_search_and_not_before(tmp_path):
    first = make_tuner(tmp_path, learning_rates=[0.01], checkpoints=True)
    first.search(**DATA, verbose=0)
    second = make_tuner(tmp_path, overwrite=True, checkpoints=True)
    assert second.oracle.trials == {}
    assert len(read_records(tmp_path / "p")) == 1
    second.search(**DATA, verbose=0)
    (record,) = read_records(tmp_path / "p")
    assert record.learning_rate == 0.1
    assert len(list((tmp_path / "p").rglob("*.weights.h5"))) == 1


def test_datasets_callbacks_and_positional_arguments(tmp_path, capsys):
    train = tf.data.Dataset.from_tensor_slices((X, Y)).batch(5)
    validation = tf.data.Dataset.from_tensor_slices((X_VAL, Y_VAL)).batch(20)
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", min_delta=9, patience=1)
    tuner = make_tuner(tmp_path, objective=keras_tuner.Objective("val_loss", "min"))
    tuner.search(train, epochs=4, validation_data=validation, callbacks=[stop])
    (record,) = read_records(tmp_path / "p")
    assert record.steps == 10  # two epochs of five steps, cut anew to 10 examples
    assert stop.model is None  # a copy was used
    assert "[1/1] keras.Adam, batch size 10, learning rate 0.1, seed 0: val_loss" in (
        capsys.readouterr().out
    )


def test_a_fit_of_the_hypermodel_is_called_with_the_batch_size_of_the_run(tmp_path):
    tuner = make_tuner(
        tmp_path, OwnFit(), batch_size="batch", batch_sizes=[10, 25], checkpoints=True
    )
    tuner.search(X, Y, validation_data=(X_VAL, Y_VAL), epochs=2, verbose=0)
    records = read_records(tmp_path / "p")
    assert [(r.batch_size, r.steps) for r in records] == [(10, 10), (25, 4)]
    assert {r.execution for r in records} == {"loop"}
    # The loss before the first step, then two epochs.
    assert all(len(r.history["val_loss"]) == 3 for r in records)
    assert all(r.history["val_loss"][0] == r.initial_loss for r in records)
    (model,) = tuner.get_best_models()
    assert model.evaluate(X_VAL, Y_VAL, verbose=0)[0] == pytest.approx(
        min(r.best_val_loss for r in records), rel=1e-5
    )
    assert tuner.get_best_hyperparameters()[0].get("batch") in (10, 25)


def test_the_first_loss_of_a_fit_is_that_of_the_same_seed_by_model_fit(tmp_path):
    class Plain(keras_tuner.HyperModel):
        def build(self, hp):
            return build_model(hp)

        def fit(self, hp, model, x, y, **kwargs):
            return model.fit(x, y, **kwargs)

    make_tuner(tmp_path, Plain()).search(X, Y, validation_data=(X_VAL, Y_VAL))
    make_tuner(tmp_path, project_name="q").search(**DATA)
    (own,), (by_fit,) = read_records(tmp_path / "p"), read_records(tmp_path / "q")
    assert own.status == by_fit.status == "ok"
    assert own.initial_loss == by_fit.initial_loss
    assert own.final_val_loss == by_fit.final_val_loss


def test_a_dataset_reaches_a_fit_in_batches_of_the_run(tmp_path):
    class Plain(keras_tuner.HyperModel):
        def build(self, hp):
            return build_model(hp)

        def fit(self, hp, model, *args, **kwargs):
            return model.fit(*args, **kwargs)

    train = tf.data.Dataset.from_tensor_slices((X, Y)).batch(5)
    validation = tf.data.Dataset.from_tensor_slices((X_VAL, Y_VAL)).batch(20)
    tuner = make_tuner(tmp_path, Plain(), objective="val_accuracy", checkpoints=True)
    tuner.search(train, validation_data=validation, epochs=2)
    (record,) = read_records(tmp_path / "p")
    assert record.status == "ok", record.message
    assert record.steps == 10
    (best,) = tuner.oracle.get_best_trials()
    assert best.score == max(record.history["val_accuracy"]) == -record.best_val_loss
    (model,) = tuner.get_best_models()
    assert model.evaluate(validation, verbose=0)[1] == pytest.approx(best.score)


def test_when_every_run_fails_the_search_says_why(tmp_path):
    class Fixed(keras_tuner.HyperModel):
        def build(self, hp):
            return build_model(hp)

        def fit(self, hp, model, *args, **kwargs):
            return model.fit(*args, batch_size=25, **kwargs)

    def search(**changes):
        tuner = make_tuner(tmp_path, hypermodel, **changes)
        tuner.search(X, Y, validation_data=(X_VAL, Y_VAL))

    hypermodel = Fixed()
    with pytest.raises(
        RuntimeError, match=r"HyperModel.fit sets batch_size, which the"
    ):
        search()
    hypermodel = OwnFit()
    with pytest.raises(
        RuntimeError, match=r"no hyperparameter 'size'; it defines .*lr"
    ):
        search(batch_size="size", project_name="q")
    hypermodel = Fixed()
    with pytest.raises(RuntimeError, match="batch_size=25, but the run has 10"):
        search(batch_size="units", project_name="r")


def test_a_loop_in_a_fit_may_return_its_result(tmp_path):
    class Loop(keras_tuner.HyperModel):
        def build(self, hp):
            return build_model(hp)

        def fit(self, hp, model, x, y, validation_data, callbacks, batch_size):
            del callbacks
            for start in range(0, len(x), batch_size):
                rows = slice(start, start + batch_size)
                model.train_on_batch(x[rows], y[rows])
            return {"val_loss": model.evaluate(*validation_data, verbose=0)[0]}

    make_tuner(tmp_path, Loop()).search(X, Y, validation_data=(X_VAL, Y_VAL))
    (record,) = read_records(tmp_path / "p")
    assert record.status == "ok"
    assert record.steps == 5
    assert record.history["val_loss"] == [record.final_val_loss]


@pytest.mark.slow
def test_worker_processes_train_the_same(tmp_path):
    def search(name, **changes):
        tuner = make_tuner(tmp_path, seeds=2, project_name=name, **changes)
        tuner.search(**DATA, verbose=0)
        return facts(tmp_path / name)

    remote = search("there", workers=2, checkpoints=True)
    assert remote == search("here")
    assert len(list((tmp_path / "there").rglob("*.weights.h5"))) == 1


@pytest.mark.slow
def test_a_hypermodel_of_a_script_is_sent_to_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import keras_tuner, sys, tuning\n"
        f"from {hyper_training.__name__} import X, Y, X_VAL, Y_VAL, build_model\n"
        "class Mine(keras_tuner.HyperModel):\n"
        "    def build(self, hp):\n"
        "        return build_model(hp)\n"
        "    def fit(self, hp, model, *args, **kwargs):\n"
        "        return model.fit(*args, **kwargs)\n"
        "if __name__ == '__main__':\n"
        "    tuner = tuning.RobustnessTuner(Mine(), learning_rate='lr', seeds=1,\n"
        "        learning_rates=[0.1], batch_sizes=[10, 25], workers=2,\n"
        "        optimizers=['keras.Adam'], directory=sys.argv[1])\n"
        "    tuner.search(X, Y, validation_data=(X_VAL, Y_VAL))\n"
        "    tuner.results_summary()\n"
    )
    ended = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ended.stdout.count("Score: ") == 2
