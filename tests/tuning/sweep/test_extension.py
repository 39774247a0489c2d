"""Sweeps that get further optimizers, learning rates, batch sizes and seeds."""

import keras
import pytest
import tiny_workload
from command_line import invoke

from tuning import read_records, resume_sweep, run_sweep
from tuning.grid import Grid
from tuning.plan import read_plan
from tuning.runs_file import RUNS_FILE

FIRST = {
    "optimizers": ["keras.SGD"],
    "learning_rates": [0.01, 0.1],
    "batch_sizes": [16],
    "seeds": 1,
    "epochs": 2,
    "options": {"keras.SGD": {"nesterov": True, "momentum": 0.5}},
}


def start(out):
    return run_sweep(tiny_workload.WORKLOAD, out, **FIRST)


def extend(out, **more):
    workload = tiny_workload.WORKLOAD
    return run_sweep(workload, out, on_existing="extend", **more)


def ids(records):
    return {record.run_id for record in records}


def test_a_sweep_gets_what_is_added_and_keeps_what_it_has(tmp_path):
    first = start(tmp_path)
    lines = (tmp_path / RUNS_FILE).read_text().splitlines()
    more = {"optimizers": ["keras_adam.Adam"], "learning_rates": [0.1, 1.0]}
    records = extend(tmp_path, **more, batch_sizes=[25], seeds=2)
    assert len(records) == 2 * 3 * 2 * 2
    assert ids(first) < ids(records)
    # Nothing that was there is trained again.
    assert (tmp_path / RUNS_FILE).read_text().splitlines()[: len(lines)] == lines
    assert len(read_records(tmp_path)) == len(records)
    grid = read_plan(tmp_path).grid
    assert grid.optimizers == ("keras.SGD", "keras_adam.Adam")
    assert grid.learning_rates == (0.01, 0.1, 1.0)
    assert grid.options == FIRST["options"]
    whole = FIRST | {
        "optimizers": ["keras.SGD", "keras_adam.Adam"],
        "learning_rates": [0.01, 0.1, 1.0],
        "batch_sizes": [16, 25],
        "seeds": 2,
    }
    assert run_sweep(tiny_workload.WORKLOAD, tmp_path, **whole) == records


def test_what_is_not_given_stays(tmp_path):
    start(tmp_path)
    records = extend(tmp_path, learning_rates=[1.0])
    assert {record.seed for record in records} == {0}
    assert {record.batch_size for record in records} == {16}
    assert len(records) == 3
    assert extend(tmp_path, learning_rates=[1.0]) == records


def test_an_extension_is_the_runs_of_a_larger_sweep(tmp_path):
    start(tmp_path / "a")
    extended = extend(tmp_path / "a", seeds=2)
    at_once = run_sweep(tiny_workload.WORKLOAD, tmp_path / "b", **FIRST | {"seeds": 2})
    assert [r.history for r in extended] == [r.history for r in at_once]


def test_an_interrupted_extension_can_be_continued(tmp_path):
    start(tmp_path)

    def stop(progress):
        if progress.record is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extend(tmp_path, seeds=3, progress=stop)
    assert len(extend(tmp_path, seeds=3)) == 6


def test_tensorboard_learns_of_the_new_values(tmp_path):
    from tensorboard.backend.event_processing import plugin_event_multiplexer
    from tensorboard.plugins.hparams import plugin_data_pb2

    start(tmp_path)
    extend(tmp_path, learning_rates=[1.0])
    found = plugin_event_multiplexer.EventMultiplexer()
    found.AddRunsFromDirectory(str(tmp_path / "tensorboard")).Reload()
    (data,) = [
        metadata.plugin_data.content
        for run, tags in found.PluginRunToTagToContent("hparams").items()
        for tag in tags
        if tag == "_hparams_/experiment"
        for metadata in [found.SummaryMetadata(run, tag)]
    ]
    experiment = plugin_data_pb2.HParamsPluginData.FromString(data).experiment
    domains = {info.name: info for info in experiment.hparam_infos}
    rates = [v.number_value for v in domains["learning_rate"].domain_discrete.values]
    assert rates == [0.01, 0.1, 1.0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"epochs": 3}, "its runs have 2 epochs. Received epochs=3"),
        ({"grid": Grid(("keras.SGD",), (0.1,), (16,), (0,), 2)}, "Received a grid"),
        ({"options": {"keras.SGD": {"momentum": 0.9}}}, "in another directory"),
        ({"options": {"keras.Adam": {}}}, "does not run"),
        ({"batch_sizes": [51]}, "larger than the 50 training examples"),
        ({"strategy": "edges"}, "strategy is grid there, edges here"),
        ({"seeds": 0}, "seeds must be a count"),
        ({"optimizers": ["keras.Nothing"]}, "keras.optimizers has"),
    ],
)
def test_what_cannot_be_added_is_refused_and_nothing_changes(more, message, tmp_path):
    start(tmp_path)
    before = (tmp_path / "sweep.json").read_bytes()
    with pytest.raises(ValueError, match=message):
        extend(tmp_path, **more)
    assert (tmp_path / "sweep.json").read_bytes() == before


def test_another_workload_cannot_be_added(tmp_path):
    start(tmp_path)
    other = tiny_workload.make_workload(loss="mse")
    with pytest.raises(ValueError, match="loss is loss there, mse here"):
        run_sweep(other, tmp_path, on_existing="extend", seeds=2)


def test_optimizers_of_a_program_must_be_given_again(tmp_path):
    own = {"mine": keras.optimizers.SGD}
    run_sweep(
        tiny_workload.WORKLOAD, tmp_path, **FIRST | {"optimizers": own, "options": None}
    )
    with pytest.raises(ValueError, match="give their factories again"):
        extend(tmp_path, seeds=2)
    assert len(extend(tmp_path, optimizers=own, seeds=2)) == 4


def test_a_sweep_of_a_counted_number_of_runs_cannot_be_extended(tmp_path):
    counted = {"strategy": "random", "max_runs": 1}
    run_sweep(tiny_workload.WORKLOAD, tmp_path, **FIRST, **counted)
    with pytest.raises(ValueError, match="has a fixed number of runs"):
        extend(tmp_path, learning_rates=[1.0], **counted)


def test_where_there_is_no_sweep_there_is_nothing_to_extend(tmp_path):
    with pytest.raises(ValueError, match=r"sweep\.json"):
        extend(tmp_path, seeds=2)


def test_from_the_command_line(tmp_path):
    reference = "tiny_workload:WORKLOAD"
    fixed = {**FIRST, "options": None}
    run_sweep(reference, tmp_path, **fixed)
    ended = invoke("run", "--out", tmp_path, "--extend", "--seeds", 2)
    assert ended.exit_code == 0, ended.output
    assert len(read_records(tmp_path)) == 4
    assert len(resume_sweep(tmp_path)) == 4
    both = invoke("run", "--out", tmp_path, "--extend", "--overwrite")
    assert both.exit_code != 0
    assert "--extend keeps the sweep" in both.output + str(both.exception)
