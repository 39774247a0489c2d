import functools
import math

import keras
import numpy as np
import pytest
import tiny_workload
from sweep_values import make_record

from benchmarks import results
from benchmarks.robustness import comparison, measures, report, run, sweeps, tasks
from benchmarks.robustness.contenders import (
    BASELINE,
    CONTENDERS,
    Contender,
    read_variants,
)
from benchmarks.robustness.prodigy import Prodigy

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="the lab's fast path is TensorFlow's",
)

RATES = (1e-4, 1e-3, 1e-2, 1.0)


def run_of(rate, seed, course, training=None, optimizer=BASELINE, initial=4.0):
    """A record whose validation losses after each epoch are ``course``."""
    final = course[-1]
    return make_record(
        seed,
        run_id=f"{optimizer}/{rate}/{seed}",
        optimizer=optimizer,
        learning_rate=rate,
        status="ok" if final is not None else "diverged",
        initial_loss=initial,
        final_val_loss=final,
        history={"val_loss": course, "loss": training or course},
    )


def curve(*finals, seed=0, **changes):
    """One record per rate, with one epoch each."""
    return [
        run_of(rate, seed, [final], **changes)
        for rate, final in zip(RATES, finals, strict=True)
    ]


def figures_of(records, seeds=(0,), *, shared=None, target=2.1, default=1e-2):
    runs = measures.gather(records, RATES, seeds)
    draws = measures.draws_of(len(seeds))
    own = measures.best_losses(runs, draws)
    return measures.figures(
        runs,
        draws,
        shared_best=own if shared is None else np.full(len(draws), shared),
        target=np.full(len(draws), target),
        default_rate=default,
        steps_per_epoch=10,
    )


def first(figures, name):
    return pytest.approx(float(figures[name][0]))


def test_a_loss_above_the_initial_one_counts_as_the_initial_one_and_as_bad():
    figures = figures_of(curve(3.0, 2.0, None, 9.0))
    # Judged: 3, 2, 4, 4; from 3e-4 to 3.2e-1 lie 2 and 4.
    assert first(figures, "best_loss") == 2.0
    assert first(figures, "s_wide") == (1 + 0 + 2 + 2) / 4
    assert first(figures, "s_narrow") == (0 + 2) / 2
    assert first(figures, "bad_share") == 2 / 4
    assert first(figures, "loss_at_1e-3") == 2.0
    assert first(figures, "loss_at_default") == 4.0
    assert first(figures, "best_rate") == 1e-3
    # The best of all contenders is half a unit below this one's.
    shared = figures_of(curve(3.0, 2.0, None, 9.0), shared=1.5)
    assert first(shared, "s_wide_shared") == (1.5 + 0.5 + 2.5 + 2.5) / 4
    assert first(shared, "s_narrow_shared") == (0.5 + 2.5) / 2


def test_training_losses_are_judged_apart():
    records = [
        run_of(rate, 0, [val], training=[train])
        for rate, val, train in zip(
            RATES, [3.0, 2.0, 3.5, 3.9], [2.9, 1.0, 0.2, 7.0], strict=True
        )
    ]
    figures = figures_of(records)
    assert first(figures, "best_training_loss") == 0.2
    assert first(figures, "s_wide_training") == (2.7 + 0.8 + 0.0 + 3.8) / 4


def test_good_decades_end_where_a_twentieth_of_the_improvement_is_missed():
    # Best 2, initial 4: good up to 2.1. From 1e-3 (2.0) to 1e-2 (2.2) the limit is
    # crossed half way; from 1e-4 (4.0) to 1e-3 at 0.05 of the way down to 1e-3.
    figures = figures_of(curve(4.0, 2.0, 2.2, 4.0))
    assert first(figures, "decades") == 0.5 + 0.05


def test_steps_to_the_target_are_counted_at_the_best_rate_and_between_epochs():
    records = [
        run_of(1e-4, 0, [3.9, 3.8]),
        run_of(1e-3, 0, [3.0, 2.0]),
        run_of(1e-2, 0, [2.4, 2.3]),
        run_of(1.0, 0, [None, None]),
    ]
    # Between 3.0 after 10 steps and 2.0 after 20 lies 2.1.
    assert first(figures_of(records), "steps_to_target") == 19.0
    assert math.isinf(figures_of(records, target=1.9)["steps_to_target"][0])
    assert first(figures_of(records, target=4.0), "steps_to_target") == 0.0


def test_low_rates_are_looked_at_after_one_epoch():
    records = [run_of(r, 0, [3.5 + r, 1.0]) for r in RATES]
    assert first(figures_of(records), "early_loss_at_low_rates") == 3.5 + 1e-4


def test_every_draw_of_seeds_has_its_own_best_rate():
    records = [*curve(3.0, 1.0, 3.0, 3.0), *curve(3.0, 3.0, 2.0, 3.0, seed=1)]
    figures = figures_of(records, (0, 1))
    # Both; then the draws (0, 0), (0, 1), (1, 0), (1, 1).
    np.testing.assert_allclose(figures["best_loss"], [2.0, 1.0, 2.0, 2.0, 2.0])
    np.testing.assert_allclose(figures["best_rate"], [1e-3, 1e-3, 1e-3, 1e-3, 1e-2])
    np.testing.assert_allclose(figures["s_wide"][:2], [0.625, 1.5])


def test_a_seed_without_a_run_at_every_rate_is_not_complete():
    records = [*curve(3.0, 1.0, 3.0, 3.0), *curve(3.0, 3.0, 2.0, 3.0, seed=1)[:3]]
    failed = make_record(1, learning_rate=1.0, status="failed")
    assert measures.complete_seeds([*records, failed], RATES) == {0}


def test_the_target_leaves_out_a_twentieth_of_what_the_baseline_learned():
    runs = measures.gather(curve(3.0, 2.0, None, 9.0), RATES, (0,))
    np.testing.assert_allclose(measures.target_of(runs, measures.once(1)), [2.1])


def test_drift_and_regret_are_taken_over_rates_and_batch_sizes():
    of_sizes = {
        4: measures.gather(curve(2.0, 2.5, 3.0, 9.0), RATES, (0,)),
        64: measures.gather(curve(3.0, 2.5, 1.0, 3.0), RATES, (0,)),
    }
    found = measures.batch_figures(of_sizes, measures.once(1), np.array([1.0]))
    assert first(found, "drift") == 2.0  # from 1e-4 to 1e-2
    assert first(found, "worst_regret") == 1.0  # of the run that diverged
    regrets = [1.0, 1.5, 2.0, 3.0, 2.0, 1.5, 0.0, 2.0]
    assert first(found, "mean_regret") == sum(regrets) / 8 / 3


def test_ratios_are_averaged_geometrically():
    found = measures.geometric_mean_ratio(
        [np.array([1.0]), np.array([8.0])], [np.array([2.0]), np.array([1.0])]
    )
    np.testing.assert_allclose(found, [2.0])  # of 1/2 and 8


@pytest.fixture
def four_rates(monkeypatch):
    monkeypatch.setattr(comparison, "RATES", RATES)


def setting_of(task="mlp-reference"):
    return sweeps.Setting(task, "constant", 120, 32)


def compared(ours, theirs, task="mlp-reference", seeds=(0,)):
    records = {"mine": ours, BASELINE: theirs} if ours else {BASELINE: theirs}
    contenders = {BASELINE: CONTENDERS[BASELINE], "mine": Contender("a:b", {}, 1e-3)}
    return comparison.compare(setting_of(task), records, contenders, seeds)


@pytest.mark.usefixtures("four_rates")
def test_a_summary_averages_over_the_tasks_that_a_contender_has():
    curves = {
        "mlp-reference": (curve(2.1, 2.0, 2.1, 2.2), curve(3.0, 2.0, None, None)),
        "small-data-news": (curve(1.0, 1.0, 1.0, None), curve(1.0, 1.0, 1.0, 3.0)),
        "speech-voices": (None, curve(3.0, 2.0, 2.5, 3.0)),
    }
    base, mine = comparison.summary_rows(
        {setting_of(task): compared(*pair, task) for task, pair in curves.items()}
    )
    assert (base["settings"], mine["settings"]) == (3, 2)
    assert base["s_wide"] == base["best_loss"] == 1.0
    # S of 0.1 to 1.25 and of 0.75 to 0.5.
    assert mine["s_wide"] == pytest.approx(math.sqrt(0.08 * 1.5), rel=1e-4)
    assert mine["best_loss"] == 1.0
    # One bad run of eight, where the baseline has two; one more on the second task.
    assert mine["bad_share"] == 1 / 8
    assert mine["bad_ratio"] == 0.5
    assert mine["worst_bad_excess"] == 0.25
    verdicts = {v["told"]: v["verdict"] for v in report.judge(mine)}
    assert verdicts["best loss"] == "reached"
    assert verdicts["bad runs above the baseline's, worst task"] == "missed"
    assert verdicts["S, 1e-5 ... 3.16"] == "missed"


@pytest.mark.usefixtures("four_rates")
def test_intervals_come_from_the_same_seeds_for_both_sides():
    """A seed that is hard for both leaves the ratio what it is."""
    ours = [*curve(3.0, 2.0, 3.0, 3.0), *curve(3.6, 2.4, 3.6, 3.6, seed=1)]
    theirs = [*curve(3.9, 2.0, 3.9, 3.9), *curve(3.9, 2.4, 3.9, 3.9, seed=1)]
    _, mine = comparison.summary_rows(
        {setting_of(): compared(ours, theirs, seeds=(0, 1))}
    )
    assert mine["best_loss_interval"] == [1.0, 1.0]
    low, high = mine["s_wide_interval"]
    assert (low, high) == (pytest.approx(0.75 / 1.425, rel=1e-4), pytest.approx(0.8))


@pytest.mark.usefixtures("four_rates")
def test_a_contender_that_lacks_a_seed_is_left_out_of_the_setting():
    theirs = [*curve(3.9, 2.0, 3.9, 3.9), *curve(3.9, 2.4, 3.9, 3.9, seed=1)]
    found = compared(curve(3.0, 2.0, 3.0, 3.0), theirs, seeds=(0, 1))
    assert list(found.runs) == [BASELINE]


def prodigy_in_numpy(gradient_of, x, steps, rate):
    """Algorithm 4 of arXiv:2306.06101 on one vector, in float64."""
    beta_1, beta_2, epsilon, d = 0.9, 0.999, 1e-8, 1e-6
    start = x.copy()
    m, v, s, r = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x), 0.0
    slow = math.sqrt(beta_2)
    for _ in range(steps):
        g = gradient_of(x)
        m = beta_1 * m + (1 - beta_1) * d * g
        v = beta_2 * v + (1 - beta_2) * d**2 * g**2
        r = slow * r + (1 - slow) * rate * d**2 * np.dot(g, start - x)
        s = slow * s + (1 - slow) * rate * d**2 * g
        x = x - rate * d * m / (np.sqrt(v) + d * epsilon)
        d = max(d, r / np.abs(s).sum())
    return x, d


@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_prodigy_follows_its_paper(rate):
    scale = np.array([1.0, 0.3, 2.0, 0.5, 0.1])
    goal = np.array([1.0, -2.0, 0.5, 3.0, 1.0])
    # At 0 float32 still resolves the first steps, of 1e-6, on which the estimate rests.
    begin = np.zeros(5)

    def gradient_of(x):
        return scale * (x - goal)

    # Two weights: the estimate is one for all of them.
    weights = [
        keras.Variable(part.astype("float32")) for part in (begin[:2], begin[2:])
    ]
    optimizer = Prodigy(rate)
    for _ in range(60):
        x = np.concatenate([keras.ops.convert_to_numpy(w) for w in weights])
        g = gradient_of(x).astype("float32")
        optimizer.apply([keras.ops.convert_to_tensor(g[:2]), g[2:]], weights)
    expected, estimate = prodigy_in_numpy(gradient_of, begin, 60, rate)
    x = np.concatenate([keras.ops.convert_to_numpy(w) for w in weights])
    np.testing.assert_allclose(x, expected, rtol=2e-3)
    assert estimate > 1e-3  # it has grown by orders of magnitude
    assert np.abs(expected - begin).max() > 0.01
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()


def test_the_halves_share_no_task_and_judge_every_family():
    families = {
        half: {task.family for task in of_half.values()}
        for half, of_half in tasks.HALVES.items()
    }
    assert not tasks.CHOOSING.keys() & tasks.JUDGING.keys()
    assert families["judging"] == families["choosing"]
    assert len(families["judging"]) == 12
    assert min(len(of_half) for of_half in tasks.HALVES.values()) >= 6


def test_rates_are_half_decades():
    assert len(sweeps.RATES) == 12
    assert (sweeps.RATES[0], sweeps.RATES[-1]) == (1e-5, 3.16)
    np.testing.assert_allclose(np.diff(np.log10(sweeps.RATES)), 0.5, atol=1e-3)


def test_variants_are_options_of_our_adam_or_another_class():
    found = read_variants(
        ['gentle:{"beta_2": 0.99}', "other=keras.optimizers:Nadam", 'x=a:b{"c": 1}']
    )
    assert found["gentle"].reference == "keras_adam:Adam"
    assert found["gentle"].options == {"beta_2": 0.99}
    assert found["other"].factory() is keras.optimizers.Nadam
    assert found["x"].options == {"c": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plain", "a variant is label:"),
        ("a:{beta_2}", "no JSON"),
        ("ours:{}", "is taken"),
    ],
)
def test_a_variant_that_cannot_be_read_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        read_variants([text])


def test_a_class_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="keras_adam:NoSuchAdam is not there"):
        Contender("keras_adam:NoSuchAdam", {}, 1e-3).factory()


@pytest.mark.parametrize(
    "arguments", [["--tasks", "speech"], ["--contenders", "adam"], ["--lengths", "x"]]
)
def test_the_command_line_refuses_what_there_is_not(arguments, capsys):
    with pytest.raises(SystemExit):
        run.read_arguments(["--out", "o", *arguments])
    assert arguments[1] in capsys.readouterr().err


@pytest.fixture
def tiny_task(monkeypatch):
    tiny = tasks.Task(
        "MLP", tiny_workload.build_model, tiny_workload.load_data, tiny_workload.loss
    )
    pretrained = tiny._replace(pretrain=tiny_workload.load_data)
    known = {"tiny": tiny, "tuned": pretrained}
    for module in (tasks, sweeps, comparison):
        monkeypatch.setattr(module, "TASKS", known)
    monkeypatch.setattr(sweeps, "RATES", RATES)
    monkeypatch.setattr(comparison, "RATES", RATES)
    monkeypatch.setattr(sweeps, "PRETRAINING_STEPS", 100)


@on_tensorflow
@pytest.mark.usefixtures("tiny_task")
def test_a_benchmark_goes_on_where_it_was_and_takes_more_seeds(tmp_path):
    setting = sweeps.Setting("tiny", "linear", 12, 16)
    done = []

    def train(seeds):
        before = len(done)
        sweeps.run(
            tmp_path,
            setting,
            BASELINE,
            CONTENDERS[BASELINE],
            seeds,
            lambda progress: progress.record and done.append(progress.record),
        )
        return len(done) - before

    assert train(range(1)) == len(RATES)
    path = tmp_path / setting.path / BASELINE / "seeds=0" / "runs.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    assert train(range(1)) == 2
    assert train(range(3)) == 2 * len(RATES)
    assert train(range(2)) == 0
    records = sweeps.records_of(tmp_path, setting, BASELINE)
    assert measures.complete_seeds(records, RATES) == {0, 1, 2}
    record = records[0]
    assert (record.schedule, record.epochs) == ("linear", tasks.EPOCHS)
    # 12 steps of 32 examples are 24 steps of 16.
    assert record.steps == 24
    assert record.execution == "compiled-epochs"


@on_tensorflow
@pytest.mark.usefixtures("tiny_task")
def test_fine_tuning_begins_with_the_weights_that_were_trained_before(tmp_path):
    setting = sweeps.Setting("tuned", "constant", 12, 32)
    make = functools.partial(sweeps.workload_of, setting, tmp_path)
    models = [make().build_model() for _ in range(2)]
    written = (tmp_path / "pretrained" / "tuned.npz").stat().st_mtime_ns
    fresh = tiny_workload.build_model()
    for first_weight, second, new in zip(
        *(model.get_weights() for model in (*models, fresh)), strict=True
    ):
        np.testing.assert_array_equal(first_weight, second)
        assert not np.array_equal(first_weight, new)
    assert (tmp_path / "pretrained" / "tuned.npz").stat().st_mtime_ns == written
    data = tiny_workload.load_data()
    models[0].compile(loss=tiny_workload.loss)
    fresh.compile(loss=tiny_workload.loss)
    losses = [m.evaluate(*data[2:], verbose=0) for m in (models[0], fresh)]
    assert losses[0] < 0.8 * losses[1]


@on_tensorflow
@pytest.mark.usefixtures("tiny_task")
def test_the_report_is_written_from_records_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(results, "DIRECTORY", tmp_path / "results")
    variants = {BASELINE: CONTENDERS[BASELINE], "ours": CONTENDERS["ours"]}
    settings = [sweeps.Setting("tiny", "constant", 12, size) for size in (16, 32)]
    for setting in settings:
        for name, contender in variants.items():
            sweeps.run(tmp_path, setting, name, contender, range(2))
    write = functools.partial(report.report, tmp_path, settings, variants, "part")
    write(range(2), by_task=True)
    told = capsys.readouterr().out
    assert "Task by task" in told
    assert "\n| keras-adam | 1 | 1 | 1 | " in told
    assert "S, 1e-5 ... 3.16" in told
    assert "Batch sizes" in told
    assert (tmp_path / "results" / "robustness_part.json").is_file()
    # Of a contender that has but one of the seeds, a report of that one tells.
    variants["robust"] = CONTENDERS["robust"]
    for setting in settings:
        sweeps.run(tmp_path, setting, "robust", variants["robust"], range(1))
    write(range(2))
    assert "| robust |" not in capsys.readouterr().out
    write(range(1))
    assert "| robust |" in capsys.readouterr().out


@on_tensorflow
def test_a_report_without_a_whole_curve_says_so(tmp_path, capsys):
    settings = [sweeps.Setting("mlp-reference", "constant", 300, 32)]
    report.report(tmp_path, settings, CONTENDERS, "", range(3))
    assert "holds no whole curve of keras-adam" in capsys.readouterr().out
