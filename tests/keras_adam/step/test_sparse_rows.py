"""Lazy rows: the touched ones as the paper steps them, the others not at all."""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
import tolerances
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_adam

pytestmark = pytest.mark.tensorflow_only

ROWS, WIDTH = 9, 3

OPTIONS = {
    "defaults": {},
    "amsgrad": {"amsgrad": True},
    "weight decay of touched rows": {"weight_decay": 0.1},
    "clipvalue": {"clipvalue": 0.3},
    "clipnorm": {"clipnorm": 0.5},
    "global clipnorm": {"global_clipnorm": 0.5},
    "moving average": {"use_ema": True, "ema_momentum": 0.9},
    "loss scale": {"loss_scale_factor": 8.0},
    "skipping non-finite steps": {"skip_nonfinite": True},
    "clipped together, averaged and skipping": {
        "global_clipnorm": 0.5,
        "use_ema": True,
        "ema_momentum": 0.9,
        "skip_nonfinite": True,
    },
}

MODES = ("eager", "graph", "XLA")

# Repeated, all the same, single, none, of another number, and every row.
IDS = ([1, 4, 1, 7], [2, 2, 2, 2], [5], [], [0, 8, 0], list(range(ROWS)), [1, 7])


@pytest.fixture
def weights():
    rng = np.random.default_rng(0)
    return [rng.normal(size=s).astype("float32") for s in ((ROWS, WIDTH), (WIDTH, 2))]


def gradients_by_rows(all_ids=IDS, spoil=None, seed=1):
    """A table's ``(values, ids)`` and a dense gradient per step."""
    rng = np.random.default_rng(seed)
    steps = []
    for number, ids in enumerate(all_ids):
        values = rng.normal(size=(len(ids), WIDTH)).astype("float32")
        if number == spoil:
            values[0, 0] = np.nan
        dense = rng.normal(size=(WIDTH, 2)).astype("float32")
        steps.append([(values, np.asarray(ids, "int32")), dense])
    return steps


def slices(given):
    if not isinstance(given, tuple):
        return tf.constant(given)
    values, ids = (tf.constant(part) for part in given)
    return tf.IndexedSlices(values, ids, tf.constant([ROWS, WIDTH]))


def variables_of(weights, dtype="float32"):
    return [
        keras.Variable(weight, dtype=dtype, name=f"weight_{i}")
        for i, weight in enumerate(weights)
    ]


def train(optimizer, weights, steps, mode="eager"):
    variables = variables_of(weights)
    optimizer.build(variables)

    def step(gradients):
        optimizer.apply(gradients, variables)

    if mode != "eager":
        step = tf.function(step, jit_compile=mode == "XLA", reduce_retracing=True)
    for gradients in steps:
        step([slices(given) for given in gradients])
    optimizer.finalize_variable_values(variables)
    return [variable.numpy() for variable in variables]


def lazy(rate=0.01, **options):
    return keras_adam.Adam(rate, sparse_updates="lazy", **options)


def assert_near(ours, expected):
    # float32 rounds beta_2; what that costs is relative to the step's size.
    near = 10 * tolerances.ORACLE_TRAJECTORY
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=near, atol=near)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_touched_rows_train_like_the_paper(weights, options, mode):
    spoil = 2 if options.get("skip_nonfinite") else None
    steps = gradients_by_rows(spoil=spoil)
    optimizer = lazy(**options)
    ours = train(optimizer, weights, steps, mode)
    assert_near(ours, reference.train_lazily(weights, steps, 0.01, **options))
    assert optimizer.skipped_steps == (spoil is not None)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_rows_train_alike_without_xla(weights, options):
    steps = gradients_by_rows()
    ours = train(lazy(jit_compile=False, **options), weights, steps)
    assert_near(ours, reference.train_lazily(weights, steps, 0.01, **options))


@pytest.mark.parametrize("mode", MODES)
def test_a_table_on_its_own_is_stepped(mode):
    # 65,536 entries and more are not packed with other weights.
    table = keras.Variable(np.ones((20_000, 4), "float32"))
    optimizer = lazy(0.1, global_clipnorm=100.0)
    optimizer.build([table])

    def step(values, ids):
        optimizer.apply([tf.IndexedSlices(values, ids)], [table])

    if mode != "eager":
        step = tf.function(step, jit_compile=mode == "XLA")
    step(tf.ones((3, 4)), tf.constant([7, 19_999, 7]))
    moved = np.flatnonzero(np.any(table.numpy() != 1, axis=1))
    assert moved.tolist() == [7, 19_999]
    np.testing.assert_allclose(table.numpy()[moved], 0.9, rtol=1e-5)
    first = optimizer._momentums[0].numpy()
    np.testing.assert_allclose(first[[7, 19_999], 0], [0.2, 0.1], rtol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_untouched_rows_and_their_state_keep_every_bit(weights, mode):
    variable = keras.Variable(weights[0])
    optimizer = lazy(0.1, amsgrad=True, weight_decay=0.1)
    optimizer.build([variable])

    def step(values, ids):
        optimizer.apply([tf.IndexedSlices(values, ids)], [variable])

    if mode != "eager":
        step = tf.function(step, jit_compile=mode == "XLA")
    step(tf.ones((ROWS, WIDTH)), tf.range(ROWS))
    state = [variable, optimizer._momentums[0], optimizer._velocities[0]]
    state.append(optimizer._velocity_hats[0])
    before = [np.array(keras.ops.convert_to_numpy(one)) for one in state]
    step(tf.ones((3, WIDTH)), tf.constant([3, 6, 3]))
    untouched = [i for i in range(ROWS) if i not in {3, 6}]
    for one, old in zip(state, before, strict=True):
        new = keras.ops.convert_to_numpy(one)
        np.testing.assert_array_equal(new[untouched], old[untouched])
        assert np.all(new[[3, 6]] != old[[3, 6]])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_precision_rows_keep_their_remainders(dtype):
    results = []
    for kind in ("lazy", "dense"):
        table = keras.Variable(np.ones((ROWS, WIDTH)), dtype=dtype)
        optimizer = keras_adam.Adam(1e-4, sparse_updates=kind)
        optimizer.build([table])
        for _ in range(50):
            values = tf.ones((2, WIDTH), table.dtype)
            slices = tf.IndexedSlices(values, tf.constant([2, 2]), (ROWS, WIDTH))
            optimizer.apply([slices], [table])
        remainder = optimizer._rounding_errors[0]
        results.append([tf.cast(v.value, "float32") for v in (table, remainder)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=2.0**-16)
    assert np.any(results[0][1] != 0)


@settings(max_examples=20)
@given(
    repeats=st.lists(st.integers(0, ROWS - 1), max_size=12),
    seed=st.integers(0, 100),
    steps=st.integers(1, 4),
)
def test_where_every_row_is_touched_lazy_is_dense(repeats, seed, steps):
    rng = np.random.default_rng(seed)
    ids = rng.permutation([*range(ROWS), *repeats]).tolist()
    table = rng.normal(size=(ROWS, WIDTH)).astype("float32")
    received = [given[:1] for given in gradients_by_rows([ids] * steps, seed=seed)]
    trained = [
        train(keras_adam.Adam(0.01, sparse_updates=kind), [table], received)
        for kind in ("lazy", "dense")
    ]
    # The same sums in another order; Adam divides by the size of the sum.
    for one, other in zip(*trained, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_dense_gradients_train_as_dense(weights):
    rng = np.random.default_rng(2)
    steps = [[rng.normal(size=w.shape).astype("float32") for w in weights]] * 5
    lazily = train(lazy(), weights, steps)
    densely = train(keras_adam.Adam(0.01), weights, steps)
    for one, other in zip(lazily, densely, strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_weight_may_have_both_kinds_of_gradient(weights):
    steps = gradients_by_rows()
    for step in steps[1::2]:
        step[0] = np.full((ROWS, WIDTH), 0.3, "float32")
    ours = train(lazy(), weights, steps)
    assert_near(ours, reference.train_lazily(weights, steps, 0.01))


def test_eager_steps_with_any_number_of_ids_are_traced_twice_at_most(weights):
    variables = variables_of(weights)
    optimizer = lazy()
    optimizer.build(variables)
    for gradients in gradients_by_rows([[1] * n for n in (4, 4, 3, 7, 1, 9, 2)]):
        optimizer.apply([slices(given) for given in gradients], variables)
    (graph,) = optimizer._executor.graphs
    assert graph.experimental_get_tracing_count() == 2
    assert optimizer.trace_count == 1


def test_a_smaller_last_batch_compiles_nothing_anew():
    model = make_model(lazy(0.05))
    ids = np.arange(44).reshape(22, 2) % ROWS
    model.fit(ids, np.ones((22, 1)), batch_size=4, epochs=3, verbose=0)
    assert model.optimizer.trace_count == 1


def make_model(optimizer, **how):
    keras.utils.set_random_seed(2)
    layers = [
        keras.layers.Embedding(ROWS, WIDTH),
        keras.layers.Flatten(),
        keras.layers.Dense(1),
    ]
    model = keras.Sequential([keras.layers.Input((2,), dtype="int32"), *layers])
    model.compile(optimizer, "mse", **how)
    return model


@pytest.mark.parametrize(
    "how",
    [{"jit_compile": False}, {"jit_compile": True}, {"run_eagerly": True}],
    ids=["graph", "whole step in XLA", "eagerly"],
)
def test_an_embedding_is_fitted(how):
    model = make_model(lazy(0.05, global_clipnorm=10.0, skip_nonfinite=True), **how)
    before = model.get_weights()[0]
    ids = np.array([[0, 1], [1, 1], [2, 3], [1, 6]] * 4)
    history = model.fit(ids, np.ones((16, 1)), batch_size=4, epochs=20, verbose=0)
    assert history.history["loss"][-1] < 0.01
    after = model.get_weights()[0]
    moved = np.flatnonzero(np.any(after != before, axis=1))
    assert moved.tolist() == [0, 1, 2, 3, 6]


@pytest.mark.parametrize(
    "options",
    [OPTIONS[name] for name in ("defaults", "clipped together, averaged and skipping")],
    ids=["defaults", "clipped together, averaged and skipping"],
)
def test_ids_are_summed_over_replicas(two_replicas, weights, options):
    first, second = ([1, 4, 1], [4, 2, 2]), ([7, 7, 0], [7, 1, 3])
    parts = [gradients_by_rows(ids, seed=s) for s, ids in enumerate((first, second))]
    with two_replicas.scope():
        variables = variables_of(weights)
        optimizer = lazy(0.01, **options)
        optimizer.build(variables)

    @tf.function
    def step(parts):
        def replica_step():
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            mine = tf.nest.map_structure(lambda *both: tf.gather(both, replica), *parts)
            optimizer.apply([slices_of(*mine[0]), mine[1]], variables)

        two_replicas.run(replica_step)

    def slices_of(values, ids):
        return tf.IndexedSlices(values, ids, tf.constant([ROWS, WIDTH]))

    summed = []
    for one, other in zip(*parts, strict=True):
        step(
            [
                [(tf.constant(v), tf.constant(i)), tf.constant(d)]
                for (v, i), d in (one, other)
            ]
        )
        joined = [np.concatenate(both) for both in zip(one[0], other[0], strict=True)]
        summed.append([tuple(joined), one[1] + other[1]])
    optimizer.finalize_variable_values(variables)
    expected = reference.train_lazily(weights, summed, 0.01, **options)
    for copy in range(2):
        local = [two_replicas.experimental_local_results(v.value) for v in variables]
        assert_near([values[copy].numpy() for values in local], expected)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"gradient_accumulation_steps": 2}, "accumulators hold every row"),
        ({"sparse_updates": "sparse"}, r"one of \['dense', 'lazy', 'catch_up'\]"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(options, told):
    with pytest.raises(ValueError, match=told):
        keras_adam.Adam(**{"sparse_updates": "lazy", **options})


def test_another_rule_is_refused():
    class SignDescent(keras_adam.Adam):
        def update_step(self, gradient, variable, learning_rate):
            self.assign_sub(variable, learning_rate * keras.ops.sign(gradient))

    SignDescent()
    with pytest.raises(ValueError, match="SignDescent overrides update_step"):
        SignDescent(sparse_updates="lazy")


def test_the_choice_is_saved():
    optimizer = lazy()
    twin = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert twin.sparse_updates == "lazy"
    assert twin.get_config() == optimizer.get_config()


def test_saved_state_goes_to_and_from_keras(weights):
    variables = variables_of(weights)
    optimizer = lazy()
    optimizer.build(variables)
    for gradients in gradients_by_rows():
        optimizer.apply([slices(given) for given in gradients], variables)
    there, back = {}, {}
    optimizer.save_own_variables(there)
    keras_optimizer, again = keras.optimizers.Adam(0.01), lazy()
    for other in (keras_optimizer, again):
        other.build(variables)
    keras_optimizer.load_own_variables(there)
    keras_optimizer.save_own_variables(back)
    again.load_own_variables(back)
    for one, other in zip(optimizer.variables, again.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def one_step(rows, ids, mode):
    """Which rows of a table move."""
    table = keras.Variable(np.ones((rows, 4), "float32"))
    optimizer = lazy(0.1)
    other = keras.Variable(np.ones((2, 2), "float32"))
    optimizer.build([table, other])

    def step(values, ids, gradient):
        optimizer.apply([tf.IndexedSlices(values, ids), gradient], [table, other])

    if mode != "eager":
        step = tf.function(step, jit_compile=mode == "XLA")
    step(tf.ones((ids.shape[0], 4)), ids, tf.ones((2, 2)))
    return np.flatnonzero(np.any(table.numpy() != 1, axis=1)).tolist()


@pytest.mark.parametrize("rows", [9, 20_000], ids=["packed", "alone"])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint16", "int64", "uint64"])
def test_ids_may_be_integers_of_any_type(dtype, rows):
    assert one_step(rows, tf.constant([5, 2, 5], dtype), "eager") == [2, 5]


@pytest.mark.parametrize("rows", [9, 20_000], ids=["packed", "alone"])
@pytest.mark.parametrize("wrong", [-1, 20_000])
def test_ids_that_are_no_rows_are_named_on_a_cpu_and_left_out_by_xla(wrong, rows):
    ids = tf.constant([2, wrong])
    for mode in ("eager", "graph"):
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=rf"= {wrong} is not in \[0, {rows}\)"
        ):
            one_step(rows, ids, mode)
    assert one_step(rows, ids, "XLA") == [2]
