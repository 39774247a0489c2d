"""Every example of a training of one's own is swept."""

import importlib.util
import sys

import pytest
from places import EXAMPLES

from tuning import run_sweep

FOLDER = EXAMPLES / "your_training"
NEEDS = {"finetune_backbone": "keras_hub"}
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


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
@pytest.mark.parametrize("name", NAMES)
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
