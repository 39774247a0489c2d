"""Every application runs on embedded data, beats its baseline and draws a picture."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from places import EXAMPLES

APPLICATIONS = EXAMPLES / "applications"

# What is printed as "name: figure (a trivial answer: figure)".
METRICS = {
    "image_classification": "accuracy",
    "language_modelling": "bits per character",
    "object_detection": "mean IoU",
    "segmentation": "IoU",
    "sentiment_analysis": "accuracy",
    "speech_to_text": "character error rate",
    "text_classification": "accuracy",
    "voice_recognition": "accuracy",
}
SMALLER_IS_BETTER = {"bits per character", "character error rate"}


def test_the_applications_are_the_eight():
    assert {path.stem for path in APPLICATIONS.glob("*.py")} == set(METRICS)
    for path in APPLICATIONS.glob("*.py"):
        assert len(path.read_text().splitlines()) < 80


@pytest.mark.slow
@pytest.mark.parametrize("name", METRICS)
def test_an_application_beats_its_baseline_and_draws(name, tmp_path):
    import matplotlib.image

    picture = tmp_path / "picture.png"
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_ADAM_DATA"}
    ended = subprocess.run(
        [sys.executable, str(APPLICATIONS / f"{name}.py"), str(picture)],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    metric = METRICS[name]
    line = re.search(
        rf"^{metric}: ([\d.]+) \([^:]+: ([\d.]+)\)$", ended.stdout, re.MULTILINE
    )
    assert line, ended.stdout[-2000:]
    reached, trivial = map(float, line.groups())
    if metric in SMALLER_IS_BETTER:
        assert reached < 0.8 * trivial
    else:
        assert reached > 1.2 * trivial
    pixels = matplotlib.image.imread(picture)
    assert min(pixels.shape[:2]) > 300
    assert np.std(pixels[..., :3]) > 0.05  # something is drawn
