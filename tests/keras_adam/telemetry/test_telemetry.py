"""The figures that AdamTelemetry writes, against the same computed by hand."""

import errno
import logging
import math
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from browser import Browser, needs_chromium
from keras import ops
from telemetry_training import BATCH, ROWS, data, fit, linear_model, read
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util
from training import norms

import keras_adam
from keras_adam.telemetry.readable_optimizer import ReadableOptimizer
from keras_adam.telemetry.run_file import RunFile
from keras_adam.telemetry.tags import tag_prefixes

IS_TORCH = keras.backend.backend() == "torch"


def by_hand(weights, epochs=2, rate=0.01, b1=0.9, b2=0.999, accumulated=1):
    """Each update's norms of gradients, ratios and m / √v, in NumPy float64."""
    x, y = (part.astype("float64") for part in data())
    kernel, bias = (np.array(weight, "float64") for weight in weights)
    m, v, figures, waiting = [0.0, 0.0], [0.0, 0.0], [], []
    for begin in [*range(0, ROWS, BATCH)] * epochs:
        xs, ys = x[begin : begin + BATCH], y[begin : begin + BATCH]
        error = 2 * (xs @ kernel + bias - ys) / ys.size
        waiting.append((xs.T @ error, error.sum(axis=0)))
        if len(waiting) < accumulated:
            continue
        gradients = [sum(parts) / accumulated for parts in zip(*waiting, strict=True)]
        waiting, t = [], len(figures) + 1
        ratios, moves = [], []
        for i, g in enumerate(gradients):
            m[i] = b1 * m[i] + (1 - b1) * g
            v[i] = b2 * v[i] + (1 - b2) * g**2
            m_hat, v_hat = m[i] / (1 - b1**t), v[i] / (1 - b2**t)
            ratios.append(np.sqrt(np.mean((m_hat / np.sqrt(v_hat)) ** 2)))
            moves.append(rate * m_hat / (np.sqrt(v_hat) + 1e-7 / np.sqrt(1 - b2**t)))
        figures.append(
            {
                "gradient_norm": norms(gradients),
                "moment_ratio": ratios,
                "update_ratio": [
                    np.linalg.norm(move) / np.linalg.norm(w) if w.any() else None
                    for move, w in zip(moves, (kernel, bias), strict=True)
                ],
            }
        )
        kernel, bias = kernel - moves[0], bias - moves[1]
    return figures


OPTIMIZERS = {
    "ours": keras_adam.Adam,
    "Keras's Adam": keras.optimizers.Adam,
    "AdamW without decay": lambda rate: keras.optimizers.AdamW(rate, weight_decay=0.0),
    "ours in a LossScaleOptimizer": lambda rate: keras.optimizers.LossScaleOptimizer(
        keras_adam.Adam(rate)
    ),
}


@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_figures_are_those_computed_by_hand(tmp_path, make, every):
    model = linear_model(make(0.01))
    expected = by_hand(model.get_weights())
    # Otherwise Keras builds it within the first step, which then is not written.
    model.optimizer.build(model.trainable_variables)
    fit(model, [keras_adam.AdamTelemetry(tmp_path, every=every)])
    written = read(tmp_path)
    steps = [step for step in range(1, 13) if step % every == 0]
    for name in ("gradient_norm", "update_ratio", "moment_ratio"):
        for i, weight in enumerate(("slope/kernel", "slope/bias")):
            found = written[f"{weight}/{name}"]
            wanted = {step: expected[step - 1][name][i] for step in steps}
            # A weight that is zero has no ratio.
            wanted = {step: value for step, value in wanted.items() if value}
            assert found == pytest.approx(wanted, rel=2e-4)
    assert written["optimizer/learning_rate"] == pytest.approx(
        dict.fromkeys(steps, 0.01)
    )
    assert "optimizer/effective_rate" not in written
    together = [np.linalg.norm(expected[step - 1]["gradient_norm"]) for step in steps]
    assert list(written["optimizer/gradient_norm"].values()) == pytest.approx(
        together, rel=2e-4
    )


@pytest.mark.parametrize("make", [keras_adam.Adam, keras.optimizers.Adam])
def test_accumulated_gradients_are_written_once_per_update(tmp_path, make):
    model = linear_model(make(0.01, gradient_accumulation_steps=3))
    expected = by_hand(model.get_weights(), accumulated=3)
    fit(model, [keras_adam.AdamTelemetry(tmp_path, every=2)])
    written = read(tmp_path)["slope/kernel/gradient_norm"]
    wanted = {step: expected[step - 1]["gradient_norm"][0] for step in (2, 4)}
    assert written == pytest.approx(wanted, rel=2e-4)


@pytest.mark.skipif(IS_TORCH, reason="Keras on torch has no steps_per_execution")
def test_an_execution_of_several_steps_is_written_as_a_whole(tmp_path):
    model = linear_model(keras_adam.Adam(0.01), steps_per_execution=3)
    before = model.get_weights()
    expected = by_hand(before)
    fit(model, [keras_adam.AdamTelemetry(tmp_path, every=6)])
    written = read(tmp_path)
    squares = [np.square(e["gradient_norm"][0]) for e in expected[3:6]]
    # By the second moment, which weighs the later steps by a thousandth more.
    assert written["slope/kernel/gradient_norm"][6] == pytest.approx(
        np.sqrt(np.mean(squares)), rel=1e-3
    )
    assert set(written["slope/kernel/gradient_norm"]) == {6, 12}
    assert written["slope/kernel/moment_ratio"][6] == pytest.approx(
        expected[5]["moment_ratio"][0], rel=1e-4
    )


def convnet(optimizer, **compile_options):
    keras.utils.set_random_seed(9)
    model = keras.Sequential(
        [
            keras.layers.Input((5,)),
            keras.layers.Dense(300, name="wide"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(250, activation="relu"),
            keras.layers.Dense(2),
        ]
    )
    model.compile(optimizer, loss="mse", **compile_options)
    return model


COMPILATIONS = {
    "as Keras compiles": {},
    "XLA": {"jit_compile": True},
    "eagerly": {"run_eagerly": True},
    "three steps per execution": {"steps_per_execution": 3},
}
TRAINED = {
    "ours": {},
    "8bit": {"moment_storage": "8bit"},
    "bfloat16": {"moment_storage": "bfloat16"},
    "accumulation": {"gradient_accumulation_steps": 2},
    "skipping": {"skip_nonfinite": True},
}


def assert_training_is_the_same(make_model, tmp_path, every=2):
    trained = []
    for callbacks in ([], [keras_adam.AdamTelemetry(tmp_path, every=every)]):
        model = make_model()
        history = fit(model, callbacks).history
        state = [ops.convert_to_numpy(v.value) for v in model.optimizer.variables]
        trained.append((history, [*model.get_weights(), *state]))
    (plain_loss, plain), (loss, observed) = trained
    assert loss == plain_loss
    for one, other in zip(plain, observed, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(read(tmp_path)["optimizer/learning_rate"]) >= 2


@pytest.mark.parametrize("options", COMPILATIONS.values(), ids=COMPILATIONS)
def test_training_is_the_same_however_it_is_executed(tmp_path, options):
    if IS_TORCH and {"jit_compile", "steps_per_execution"} & set(options):
        pytest.skip("Keras on torch has neither XLA nor steps_per_execution")
    assert_training_is_the_same(
        lambda: convnet(keras_adam.Adam(0.01), **options), tmp_path
    )


@pytest.mark.parametrize("options", TRAINED.values(), ids=TRAINED)
def test_training_is_the_same_with_every_option(tmp_path, options):
    assert_training_is_the_same(
        lambda: convnet(keras_adam.Adam(0.01, **options)), tmp_path
    )


def test_training_of_a_single_weight_is_the_same(tmp_path):
    def make():
        keras.utils.set_random_seed(4)
        layer = keras.layers.Dense(2, use_bias=False, name="slope")
        model = keras.Sequential([keras.layers.Input((5,)), layer])
        model.compile(keras_adam.Adam(0.01), loss="mse")
        return model

    assert_training_is_the_same(make, tmp_path, every=1)
    ratios = read(tmp_path)["slope/kernel/update_ratio"]
    assert all(0 < ratio < 0.1 for ratio in ratios.values())


def test_training_in_mixed_precision_is_the_same(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        assert_training_is_the_same(lambda: convnet(keras_adam.Adam(0.01)), tmp_path)
    finally:
        keras.config.set_dtype_policy("float32")
    written = read(tmp_path)
    assert all(
        math.log2(s).is_integer() for s in written["optimizer/loss_scale"].values()
    )
    assert all(map(math.isfinite, written["wide/kernel/gradient_norm"].values()))


def test_two_replicas_are_written_as_one_device(tmp_path, two_replicas):
    def make():
        with two_replicas.scope():
            return linear_model(keras_adam.Adam(0.01))

    expected = by_hand(make().get_weights())
    assert_training_is_the_same(make, tmp_path)
    written = read(tmp_path)["slope/kernel/gradient_norm"]
    wanted = {t: expected[t - 1]["gradient_norm"][0] for t in range(2, 13, 2)}
    assert written == pytest.approx(wanted, rel=1e-3)


def test_a_resumed_run_continues_the_axis_and_replaces_what_is_void(tmp_path):
    logs, saved = tmp_path / "logs", tmp_path / "model.keras"
    model = linear_model(keras_adam.Adam(0.01))
    telemetry = keras_adam.AdamTelemetry(logs, every=4)
    fit(model, [telemetry], epochs=1)
    model.save(saved)
    fit(model, [telemetry], epochs=1)
    steps = [4, 8, 12]
    assert list(read(logs)["optimizer/learning_rate"]) == steps
    # The process ended after step 12 and goes on from what was saved after step 6.
    resumed = keras.models.load_model(saved)
    resumed.optimizer.learning_rate = 0.5
    fit(resumed, [keras_adam.AdamTelemetry(logs, every=4)], epochs=2)
    written = read(logs)["optimizer/learning_rate"]
    assert written == pytest.approx({4: 0.01, 8: 0.5, 12: 0.5, 16: 0.5})


def test_controls_of_the_optimizer_are_written(tmp_path):
    optimizer = keras_adam.Adam(
        0.5, rate_cap=0.125, rate_adaptation=0.25, spike_guard=5.0, skip_nonfinite=True
    )
    model = linear_model(optimizer)
    x, y = data()
    x[0, 0] = np.nan  # the first step of each epoch is left out
    model.fit(
        x,
        y,
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        epochs=2,
        callbacks=[keras_adam.AdamTelemetry(tmp_path, every=5)],
    )
    written = read(tmp_path)
    assert written["optimizer/skipped_steps"] == {5: 1.0, 10: 2.0}
    assert written["optimizer/rate_cap"] == {5: 0.125, 10: 0.125}
    assert written["optimizer/rate_adaptation"] == {5: 0.25, 10: 0.25}
    assert written["optimizer/clipped_spikes"] == {5: 0.0, 10: 0.0}
    assert written["optimizer/rate_multiplier"][10] == pytest.approx(
        optimizer.rate_multiplier
    )
    assert written["optimizer/effective_rate"][10] == pytest.approx(
        0.5 * optimizer.rate_multiplier
    )
    # The cap was there from the first step on.
    assert 0.25 < written["optimizer/rate_multiplier"][5] < 1


def test_what_several_optimizers_share_is_written(tmp_path):
    shared = keras.optimizers.OptimizerMap(keras.optimizers.Adam(0.01))
    shared["slope/bias"] = keras.optimizers.SGD(0.1)
    model = linear_model(keras.optimizers.MultiOptimizer(shared))
    fit(model, [keras_adam.AdamTelemetry(tmp_path, every=3)])
    assert list(read(tmp_path)["slope/kernel/update_ratio"]) == [3, 6, 9, 12]


def test_a_skipped_step_is_not_written(tmp_path):
    model = linear_model(keras_adam.Adam(0.01, skip_nonfinite=True))
    x, y = data()
    x[:BATCH, 0] = np.inf
    model.fit(
        x,
        y,
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[keras_adam.AdamTelemetry(tmp_path, every=1)],
    )
    written = read(tmp_path)["slope/kernel/gradient_norm"]
    assert list(written) == [1, 2, 3, 4, 5]
    assert all(0 < norm < 10 for norm in written.values())


def test_a_gradient_that_is_not_finite_is_written_as_such(tmp_path):
    model = linear_model(keras.optimizers.Adam(0.01))
    x, y = data()
    x[:BATCH, 0] = np.nan
    model.fit(
        x,
        y,
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[keras_adam.AdamTelemetry(tmp_path, every=6)],
    )
    assert math.isnan(read(tmp_path)["slope/kernel/gradient_norm"][6])


# Tags, charts, and errors.


def test_tags_are_grouped_by_layer():
    paths = ["net/encoder/query/kernel", "net/encoder/query/bias", "net/head/kernel"]
    assert tag_prefixes(paths) == [
        "encoder.query/kernel",
        "encoder.query/bias",
        "head/kernel",
    ]
    assert tag_prefixes(["line/slope/kernel"]) == ["slope/kernel"]
    assert tag_prefixes(["scale", "a/scale"]) == ["weights/scale", "a/scale"]
    assert tag_prefixes(["a/k", "a/k"]) == ["a/k", "a/k_2"]
    assert tag_prefixes([]) == []


def test_charts_lay_all_weights_over_each_other(tmp_path):
    from tensorboard.plugins.custom_scalar import layout_pb2

    fit(linear_model(keras_adam.Adam()), [keras_adam.AdamTelemetry(tmp_path, every=6)])
    accumulator = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    (event,) = accumulator.Reload().Tensors("custom_scalars__config__")
    text = tensor_util.make_ndarray(event.tensor_proto).item()
    charts = layout_pb2.Layout.FromString(text).category[0].chart
    tags = {c.title: c.multiline.tag[0] for c in charts}
    assert "Gradient norm" in tags
    assert "Root mean square of m / √v" in tags
    assert re.match(tags["Gradient norm"], "slope/kernel/gradient_norm")
    assert not re.match(tags["Gradient norm"], "optimizer/gradient_norm")


@pytest.mark.slow
@needs_chromium
def test_layers_are_groups_in_a_browser(tmp_path):
    logs = tmp_path / "logs"
    fit(linear_model(keras_adam.Adam()), [keras_adam.AdamTelemetry(logs, every=3)])
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs)]
    address = ["--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(
        [*command, *address], stderr=subprocess.PIPE, text=True
    ) as board:
        try:
            lines = iter(board.stderr.readline, "")
            found = (re.search(r"http://127\.0\.0\.1:\d+/", line) for line in lines)
            url = next(match[0] for match in found if match)
            wanted = ["slope", "optimizer", "learning_rate"]
            with Browser(tmp_path / "browser") as browser:
                page = browser.text_of(f"{url}#timeseries", wanted)
        finally:
            board.terminate()
            board.wait(timeout=60)
    for word in wanted:
        assert word in page


@pytest.mark.parametrize("every", [0, -1, 2.5, True, None, "100"])
def test_an_interval_that_is_none_is_refused(tmp_path, every):
    with pytest.raises(ValueError, match="every must be"):
        keras_adam.AdamTelemetry(tmp_path, every=every)


def test_a_directory_that_is_none_is_refused(tmp_path):
    with pytest.raises(TypeError, match="log_dir must be a path"):
        keras_adam.AdamTelemetry(None)
    with pytest.raises(ValueError, match="local"):
        keras_adam.AdamTelemetry("gs://bucket/logs")
    (tmp_path / "file").write_text("")
    telemetry = keras_adam.AdamTelemetry(tmp_path / "file")
    with pytest.raises(OSError, match="file"):
        fit(linear_model(keras_adam.Adam()), [telemetry])


def test_without_tensorboard_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        keras_adam.AdamTelemetry(tmp_path)


def test_a_full_disk_does_not_end_the_training(tmp_path, monkeypatch, caplog):
    model = linear_model(keras_adam.Adam(0.01))
    telemetry = keras_adam.AdamTelemetry(tmp_path, every=2)
    written = []

    def write(self, step, values):
        written.append(step)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RunFile, "write", write)
    with caplog.at_level(logging.WARNING):
        fit(model, [telemetry])
    assert "No space left" in caplog.text
    assert "training goes on" in caplog.text
    assert written == [2]
    assert int(model.optimizer.iterations) == 12


def test_training_shorter_than_the_interval_is_said(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        fit(linear_model(keras_adam.Adam()), [keras_adam.AdamTelemetry(tmp_path)])
    assert "every=100" in caplog.text
    assert read(tmp_path) == {}


def test_nothing_is_read_between_two_samples(tmp_path, monkeypatch):
    telemetry = keras_adam.AdamTelemetry(tmp_path, every=6)
    reads = []
    real = ReadableOptimizer.iterations

    def counted(self):
        reads.append(1)
        return real(self)

    monkeypatch.setattr(ReadableOptimizer, "iterations", counted)
    fit(linear_model(keras_adam.Adam()), [telemetry], epochs=4)
    assert len(read(tmp_path)["optimizer/learning_rate"]) == 4
    # One when training begins. Per sample one before it, one after it, and, because
    # samples end with epochs here, one to find when the next is due.
    assert len(reads) <= 1 + 3 * 4


def test_keras_still_need_not_wait_for_each_step():
    # Keras runs steps ahead of their results unless a callback wants these.
    plain = keras.callbacks.Callback
    assert keras_adam.AdamTelemetry.on_train_batch_end is plain.on_train_batch_end
    assert keras_adam.AdamTelemetry.on_batch_end is plain.on_batch_end


def test_a_frozen_layer_is_left_out(tmp_path):
    keras.utils.set_random_seed(4)
    model = keras.Sequential(
        [
            keras.layers.Input((5,)),
            keras.layers.Dense(3, name="kept", trainable=False),
            keras.layers.Dense(2, name="slope"),
        ]
    )
    model.compile(keras_adam.Adam(), loss="mse")
    fit(model, [keras_adam.AdamTelemetry(tmp_path, every=6)])
    written = read(tmp_path)
    assert "slope/kernel/update_ratio" in written
    assert not any(tag.startswith("kept") for tag in written)


def test_the_package_is_imported_without_tensorboard():
    program = (
        "import sys; sys.modules['tensorboard'] = None; import keras_adam; "
        "keras_adam.Adam()\n"
        "try: keras_adam.AdamTelemetry('logs')\n"
        "except ImportError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install tensorboard" in result.stdout
