"""Every example of a training of one's own is swept."""

import importlib.util
import sys

import pytest
from places import EXAMPLES

from tuning import read_records, run_sweep

FOLDER = EXAMPLES / "your_training"
NEEDS = {"finetune_backbone": "keras_hub"}
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
TUNERS = [name for name in NAMES if name.startswith("kerastuner_")]


def load(name, monkeypatch):
    """The example as a module that its functions can be looked up in."""
    spec = importlib.util.spec_from_file_location(
        f"example_{name}", FOLDER / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_the_page_names_them_all():
    page = (EXAMPLES.parent / "docs" / "sweep_your_training.md").read_text()
    assert all(f"examples/your_training/{name}.py" in page for name in NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name not in TUNERS])
def test_an_example_learns(name, tmp_path, monkeypatch):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"needs {NEEDS[name]}")
    training = load(name, monkeypatch).training
    records = run_sweep(
        training,
        tmp_path / "sweep",
        optimizers=["keras_adam.Adam"],
        learning_rates=[0.01],
        batch_sizes=[16],
        seeds=1,
    )
    (record,) = records
    assert record.status == "ok", record.message
    assert record.best_val_loss < record.initial_loss


@pytest.mark.slow
@pytest.mark.parametrize("name", TUNERS)
def test_a_tuner_finds_what_learns(name, tmp_path, monkeypatch, capsys):
    example = load(name, monkeypatch)
    (x, y), validation = example.load_data()
    grid = {"learning_rates": [0.01], "batch_sizes": [64], "seeds": 1}
    tuner = example.make_tuner(tmp_path, optimizers=["keras_adam.Adam"], **grid)
    tuner.search(x, y, epochs=2, validation_data=validation)
    (record,) = read_records(tuner.project_dir)
    assert record.status == "ok", record.message
    assert record.best_val_loss < record.initial_loss
    assert record.batch_size == 64
    tuner.results_summary()
    assert "learning_rate: 0.01" in capsys.readouterr().out
