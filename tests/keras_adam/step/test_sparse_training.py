"""Whole models whose embeddings are stepped by rows: trained, saved and resumed."""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
import tolerances
from saving import FORMATS

import keras_adam

pytestmark = pytest.mark.tensorflow_only

HOW = {
    "graph": {"jit_compile": False},
    "whole step in XLA": {"jit_compile": True},
    "eagerly": {"run_eagerly": True},
}


BY_ROWS = ("lazy", "catch_up")


def lazy(rate=0.01, kind="lazy", **options):
    return keras_adam.Adam(rate, sparse_updates=kind, **options)


def address(variable):
    """Where the memory of a variable begins, if reads of it share that memory."""
    reads = [np.asarray(variable.value.read_value()) for _ in range(2)]
    first, second = (read.__array_interface__["data"][0] for read in reads)
    return first if first == second else None


@pytest.mark.parametrize("kind", BY_ROWS)
@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
@pytest.mark.parametrize("skip", [False, True], ids=["always", "unless not finite"])
def test_no_step_copies_the_table(how, skip, kind):
    model = keras.Sequential(
        [
            keras.layers.Input((2,), dtype="int32"),
            keras.layers.Embedding(20_000, 4),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(lazy(kind=kind, skip_nonfinite=skip), "mse", **how)
    (table, *_) = model.trainable_variables
    places = []
    for fitted in (True, False) * 2:
        ids, ones = np.array([[1, 7]] * 6), np.ones((6, 1))
        if fitted:
            model.fit(ids, ones, batch_size=2, verbose=0)
        else:
            model.train_on_batch(ids, ones)
        places.append(address(table))
    assert places == [places[0]] * 4
    assert places[0] is not None


@pytest.mark.parametrize("mode", ["eager", "graph", "XLA", "graph inside of XLA"])
def test_a_value_read_before_a_step_stays_what_it_was(mode):
    table = keras.Variable(np.ones((20_000, 4), "float32"))
    optimizer = lazy(0.1)
    optimizer.build([table])

    def step(ids):
        before = table.value.read_value()
        optimizer.apply([tf.IndexedSlices(tf.ones((2, 4)), ids)], [table])
        return before

    if mode != "eager":
        step = tf.function(step, jit_compile=mode == "XLA")
    if mode == "graph inside of XLA":
        step = tf.function(step, jit_compile=True)
    held = []
    for _ in range(3):
        held.append(table.value.read_value())
        held.append(step(tf.constant([3, 5])))
    expected = [1, 1, 0.9, 0.9, 0.8, 0.8]
    for value, entry in zip(held, expected, strict=True):
        np.testing.assert_allclose(value[3], entry, rtol=1e-5)
        np.testing.assert_array_equal(value[4], 1)


SHAPES = ((20_000, 4), (9, 3), (9, 2))  # The first is too large to be packed.
BATCH = 4


@keras.saving.register_keras_serializable(package="keras_adam_tests")
def product(targets, rows):
    return keras.ops.sum(targets * rows, axis=(1, 2))


def make_linear_model(optimizer, looked_up, shapes=SHAPES, frozen=(), **how):
    """Rows side by side; the loss is their product with the targets.

    Gradients do not depend on the weights, so that the reference can be given them.

    Args:
        optimizer: to compile with.
        looked_up: for each input, the number of its table.
        shapes: of the tables.
        frozen: numbers of tables that are not trained.
        how: of `compile`.
    """
    keras.utils.set_random_seed(4)
    tables = [
        keras.layers.Embedding(*shape, trainable=number not in frozen)
        for number, shape in enumerate(shapes)
    ]
    inputs = [keras.Input((None,), dtype="int32") for _ in looked_up]
    rows = [tables[t](ids) for t, ids in zip(looked_up, inputs, strict=True)]
    model = keras.Model(inputs, keras.layers.Concatenate()(rows))
    model.compile(optimizer, product, **how)
    return model


def data(looked_up, batches=5, length=3, shapes=SHAPES, seed=6):
    rng = np.random.default_rng(seed)
    count = BATCH * batches
    # Few distinct ids, so that some are repeated; the last row among them.
    ids = [
        rng.choice([0, 2, 5, shapes[table][0] - 1], (count, length))
        for table in looked_up
    ]
    width = sum(shapes[table][1] for table in looked_up)
    return ids, rng.normal(size=(count, length, width)).astype("float32")


def expected_tables(model, looked_up, ids, targets, trained, shapes=SHAPES):
    """What the reference makes of the trained tables."""
    widths = [shapes[table][1] for table in looked_up]
    parts = np.split(targets / BATCH, np.cumsum(widths)[:-1], axis=-1)
    steps = []
    for first in range(0, len(targets), BATCH):
        batch = slice(first, first + BATCH)
        steps.append([])
        for table in trained:
            mine = [i for i, t in enumerate(looked_up) if t == table]
            values = [parts[i][batch].reshape(-1, shapes[table][1]) for i in mine]
            rows = [ids[i][batch].reshape(-1) for i in mine]
            steps[-1].append((np.concatenate(values), np.concatenate(rows)))
    weights = [weight.numpy() for weight in model.trainable_variables]
    return reference.train_lazily(weights, steps, 0.01)


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
@pytest.mark.parametrize(
    ("looked_up", "frozen"),
    [((0, 1, 2), ()), ((1, 1, 2, 0, 0), ()), ((0, 1, 2, 1), (1,))],
    ids=["a large and two small", "looked up twice", "one of them frozen"],
)
def test_tables_are_fitted_like_the_reference(looked_up, frozen, how):
    model = make_linear_model(lazy(), looked_up, frozen=frozen, **how)
    ids, targets = data(looked_up)
    trained = [table for table in range(len(SHAPES)) if table not in frozen]
    by_shape = {SHAPES[table]: table for table in trained}
    # The model lists its layers in the order of their inputs.
    trained = [by_shape[tuple(v.shape)] for v in model.trainable_variables]
    expected = expected_tables(model, looked_up, ids, targets, trained)
    held = [v.numpy() for v in model.non_trainable_variables]
    model.fit(ids, targets, batch_size=BATCH, shuffle=False, verbose=0)
    near = 10 * tolerances.ORACLE_TRAJECTORY
    for variable, one in zip(model.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), one, rtol=near, atol=near)
    for variable, one in zip(model.non_trainable_variables, held, strict=True):
        np.testing.assert_array_equal(variable.numpy(), one)


@pytest.mark.parametrize("kind", BY_ROWS)
def test_replicas_fit_like_one_device(two_replicas, kind):
    looked_up = (0, 1)
    ids, targets = data(looked_up)

    def fitted():
        model = make_linear_model(lazy(kind=kind), looked_up, jit_compile=False)
        model.fit(ids, targets, batch_size=BATCH, shuffle=False, verbose=0)
        return model.get_weights()

    alone = fitted()
    with two_replicas.scope():
        together = fitted()
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=tolerances.REPLICAS)


@pytest.mark.parametrize("how", [HOW["graph"], HOW["eagerly"]], ids=["graph", "eager"])
def test_sequences_of_any_length_are_traced_twice_at_most(how):
    looked_up = (0, 1)
    model = make_linear_model(lazy(global_clipnorm=1.0), looked_up, **how)
    traced = []

    def counted(y, rows):
        if not tf.executing_eagerly():
            traced.append(rows.shape)
        return product(y, rows)

    model.compile(model.optimizer, counted, **how)
    for length in (3, 3, 5, 2, 7, 4):
        ids, targets = data(looked_up, batches=1, length=length)
        model.train_on_batch(ids, targets)
    # Keras itself traces the loss once more, before the first step.
    assert len(traced) <= 3
    (graph,) = model.optimizer._executor.graphs
    # Within the graph of the train step it is never called.
    traces = graph.experimental_get_tracing_count()
    assert (0 < traces <= 2) if how.get("run_eagerly") else traces == 0
    assert model.optimizer.trace_count == 1


def train(model, looked_up, seed):
    for part in range(6):
        ids, targets = data(looked_up, batches=1, seed=seed + part)
        model.train_on_batch(ids, targets)


def state(model):
    variables = [*model.trainable_variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def remade(optimizer):
    return make_linear_model(optimizer, (0, 1, 2))


OTHERS = {
    "ours, lazy": lazy,
    "ours, dense": keras_adam.Adam,
    "Keras's": keras.optimizers.Adam,
}


@pytest.mark.parametrize("through", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_state_goes_to_others_and_back_without_loss(other, through, tmp_path):
    looked_up = (0, 1, 2)
    # Eagerly: a step's graph must not get into what is saved.
    model = make_linear_model(lazy(amsgrad=True), looked_up, run_eagerly=True)
    train(model, looked_up, seed=10)
    there = through(model, other(0.01, amsgrad=True), tmp_path, remade)
    there.optimizer.build(there.trainable_variables)
    back = through(there, lazy(0.01, amsgrad=True), tmp_path, remade)
    back.optimizer.build(back.trainable_variables)
    for one, another in zip(state(model), state(back), strict=True):
        np.testing.assert_array_equal(one, another)
    for resumed in (back, model):
        resumed.compile(resumed.optimizer, product, jit_compile=False)
        train(resumed, looked_up, seed=20)
    for one, another in zip(state(model), state(back), strict=True):
        np.testing.assert_array_equal(one, another)


def test_a_file_remembers_that_rows_are_stepped(tmp_path):
    looked_up = (0, 1, 2)
    model = make_linear_model(lazy(), looked_up, jit_compile=False)
    train(model, looked_up, seed=10)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.sparse_updates == "lazy"
    for one, another in zip(state(model), state(loaded), strict=True):
        np.testing.assert_array_equal(one, another)


def test_a_number_of_settings_makes_as_many_graphs_and_no_more(caplog):
    table = keras.Variable(np.ones((9, 3), "float32"))
    optimizer = lazy(0.1)
    optimizer.build([table])
    for setting in range(20):
        optimizer.weight_decay = 1e-6 * (1 + setting)
        optimizer.apply([tf.IndexedSlices(tf.ones((1, 3)), tf.constant([4]))], [table])
    assert len(optimizer._executor.graphs) == 16
    told = [r for r in caplog.records if "16 programs" in r.getMessage()]
    assert len(told) == 1
    np.testing.assert_allclose(table[4], 1 - 20 * 0.1, rtol=1e-4)
