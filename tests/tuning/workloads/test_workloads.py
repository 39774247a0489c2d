"""The built-in applications: their data, and that a short training learns."""

import dataclasses
import importlib
import itertools
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from places import REPOSITORY
from scipy.signal import spectrogram
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from tuning import run_sweep
from tuning.data_sources import (
    digit_scenes,
    formant_voices,
    language_reference,
    log_mel,
    opinions,
    recordings,
)
from tuning.data_sources.public_data import DIRECTORY_VARIABLE
from tuning.data_sources.recordings import SAMPLE_RATE
from tuning.sweep.fingerprint import fingerprint_data
from tuning.workload import Data, checked_metric_names, load_checked_data
from tuning.workloads import (
    BUILT_IN,
    detection,
    find_workload,
    language_model,
    speech_to_text,
)
from tuning.workloads.classification import trivial_metrics

APPLICATIONS = [name for name in BUILT_IN if name != "digits"]

REAL_DATA = Path(
    os.environ.get(DIRECTORY_VARIABLE) or REPOSITORY.parent / "shared" / "data"
)
needs_real_data = pytest.mark.skipif(
    not (REAL_DATA / "raccoons.npz").is_file(),
    reason=f"no real data here: {DIRECTORY_VARIABLE} names no directory with them",
)

SHAPES = {
    "detection": [(1200, 32, 32, 1), (1200, 3, 4), (300, 32, 32, 1), (300, 3, 4)],
    "segmentation": [(1200, 32, 32, 1)] * 2 + [(300, 32, 32, 1)] * 2,
    "topics": [(None, 48), (None,), (None, 48), (None,)],
    "sentiment": [(2400, 24), (2400,), (600, 24), (600,)],
    "language-model": [(None, 64)] * 4,
    "speech-to-text": [(800, 120, 32), (800, 4), (160, 120, 32), (160, 4)],
    "speakers": [(900, 32, 32), (900,), (300, 32, 32), (300,)],
}
"""Of the embedded data; ``None`` where it depends on the version of Python."""

REAL_SHAPES = {
    "detection": [(320, 64, 64, 3), (320, 3, 4), (40, 64, 64, 3), (40, 3, 4)],
    "segmentation": [(400, 64, 64, 1)] * 2 + [(80, 64, 64, 1)] * 2,
    "topics": [(6080, 48), (6080,), (1520, 48), (1520,)],
    "sentiment": [(None, 24), (None,), (None, 24), (None,)],
    "language-model": [(15685, 64)] * 2 + [(1742, 64)] * 2,
    "speech-to-text": SHAPES["speech-to-text"],
    "speakers": [(2700, 32, 32), (2700,), (300, 32, 32), (300,)],
}

SHORT = {
    "detection": (3e-3, 16, 4, "mean_iou"),
    "segmentation": (3e-3, 16, 3, "iou"),
    "topics": (3e-3, 16, 8, "accuracy"),
    "sentiment": (3e-3, 32, 6, "accuracy"),
    "language-model": (1e-2, 32, 1, "bits_per_character"),
    "speech-to-text": (3e-3, 8, 6, "character_error_rate"),
    "speakers": (3e-3, 16, 8, "accuracy"),
}
"""Learning rate, batch size, epochs, and the metric that a training is judged by."""

SMALLER_IS_BETTER = {"bits_per_character", "character_error_rate"}


@pytest.fixture(autouse=True)
def _embedded(monkeypatch):
    monkeypatch.delenv(DIRECTORY_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def embedded():
    """Embedded data by workload, made once; called, it makes what is missing."""
    made = {}

    def load(name):
        if name not in made:
            made[name] = find_workload(name).load_data()
        return made[name]

    return load


def trivial(name, data):
    module = importlib.import_module(BUILT_IN[name].partition(":")[0])
    return getattr(module, "trivial_metrics", trivial_metrics)(data)


def fits(array, shape):
    return len(array.shape) == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=True)
    )


def check_shapes(data, shapes):
    assert all(map(fits, data, shapes)), [array.shape for array in data]
    assert data.x_train.dtype == data.x_val.dtype
    assert data.y_train.dtype == data.y_val.dtype
    assert {array.dtype.name for array in data} <= {"float32", "int32"}
    assert all(np.isfinite(array).all() for array in data)


def rows_of(array):
    return {row.tobytes() for row in np.ascontiguousarray(array)}


def check_nothing_is_in_both_parts(name, data):
    shared = rows_of(data.x_train) & rows_of(data.x_val)
    # Two texts may begin alike, or differ in words that are too rare to be numbered.
    allowed = 0.005 * len(data.x_val) if name in ("topics", "sentiment") else 0
    assert len(shared) <= allowed


@pytest.mark.parametrize("name", APPLICATIONS)
def test_embedded_data_have_the_documented_shapes(name, embedded):
    check_shapes(embedded(name), SHAPES[name])


@pytest.mark.parametrize("name", APPLICATIONS)
def test_no_example_stands_in_both_parts(name, embedded):
    check_nothing_is_in_both_parts(name, embedded(name))


@pytest.mark.parametrize("name", APPLICATIONS)
def test_embedded_data_are_the_same_every_time(name, embedded):
    again = find_workload(name).load_data()
    assert fingerprint_data(again) == fingerprint_data(embedded(name))


@pytest.mark.parametrize("name", APPLICATIONS)
def test_a_workload_can_be_sent_to_another_process(name):
    workload = find_workload(name)
    checked_metric_names(workload)
    again = pickle.loads(pickle.dumps(workload))
    assert again.name == workload.name == name
    assert again.build_model().count_params() > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_a_tiny_sweep_learns_more_than_the_trivial_answer(
    name, embedded, tmp_path, monkeypatch
):
    rate, batch_size, epochs, metric = SHORT[name]
    data = embedded(name)
    workload = dataclasses.replace(find_workload(name), load_data=lambda: data)
    (record,) = run_sweep(
        workload,
        tmp_path / "sweep",
        optimizers=["keras.Adam"],
        learning_rates=[rate],
        batch_sizes=[batch_size],
        seeds=1,
        epochs=epochs,
    )
    assert (record.status, record.message) == ("ok", "")
    # On a CPU, which the tests run on, XLA is slow at convolutions.
    convolves = name in ("detection", "segmentation", "speech-to-text")
    assert record.execution == ("graph-epochs" if convolves else "compiled-epochs")
    assert record.best_val_loss < 0.9 * record.initial_loss
    reached, baseline = record.val_metrics[metric], trivial(name, data)[metric]
    if metric in SMALLER_IS_BETTER:
        assert reached < 0.9 * baseline
    else:
        assert reached > 1.1 * baseline


def test_scenes_to_judge_by_hold_none_of_the_digits_learnt_from(monkeypatch):
    full, flat = np.ones((4, 8, 8), "float32"), np.zeros((4, 8, 8), "float32")
    flat[:, 4:] = 1.0  # half as high as wide
    digits = Data(full.reshape(4, 64), None, flat.reshape(4, 64), None)
    monkeypatch.setattr(digit_scenes, "read_digits", lambda: digits)
    monkeypatch.setattr(digit_scenes, "SCENES", {"train": 20, "validation": 20})
    for part, ratio in (("train", 1.0), ("validation", 0.5)):
        boxes = np.concatenate(digit_scenes.make_scenes(part).boxes)
        width, height = (boxes[:, 2:] - boxes[:, :2]).T
        np.testing.assert_allclose(height / width, ratio, atol=0.12)


def test_mirror_images_have_mirrored_boxes():
    picture = np.zeros((1, 8, 8, 1), "float32")
    picture[0, 2:6, 1:3] = 1.0
    boxes = np.full((1, 3, 4), detection.NO_BOX, "float32")
    boxes[0, 0] = (1 / 8, 2 / 8, 3 / 8, 6 / 8)
    x, y = detection._mirrored(picture, boxes)
    assert x[1, 2:6, 5:7].min() == 1.0
    assert x[1].sum() == x[0].sum()
    np.testing.assert_allclose(y[1, 0], (5 / 8, 2 / 8, 7 / 8, 6 / 8))
    assert (y[:, 1:] == detection.NO_BOX).all()


def test_boxes_lie_tightly_around_the_strokes():
    scenes = digit_scenes.make_scenes("validation")
    alone = [i for i, boxes in enumerate(scenes.boxes) if len(boxes) == 1]
    assert len(alone) > 50
    for i in alone:
        rows, columns = np.nonzero(scenes.mask[i, :, :, 0])
        edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        np.testing.assert_allclose(scenes.boxes[i][0] * digit_scenes.SIZE, edges)


def test_no_paragraph_of_the_language_reference_is_taken_twice():
    passages, _ = language_reference.read_passages()
    assert len(set(passages)) == len(passages) > 800
    train, validation = language_reference.read_texts()
    paragraphs = [
        paragraph
        for block in (*train, *validation)
        for paragraph in block.split("\n\n")
        if paragraph
    ]
    assert len(set(paragraphs)) == len(paragraphs) > 1000
    share = len("".join(validation)) / len("".join((*train, *validation)))
    assert 0.07 < share < 0.15


def test_the_pages_of_the_language_reference_are_all_there():
    from pydoc_data.topics import topics

    listed = [
        page for pages in language_reference._PAGES.values() for page in pages.split()
    ]
    assert len(set(listed)) == len(listed)
    # Versions of Python differ in a page or two.
    assert len(set(listed) - set(topics)) <= 6
    assert len(set(topics) - set(listed)) <= 6


def test_windows_of_text_follow_each_other_without_overlap():
    text = "".join(chr(32 + i % 95) for i in range(200))
    now, later = language_model._windows(text)
    assert now.shape == later.shape == (3, 64)
    numbers = language_model.number_characters(text)
    np.testing.assert_array_equal(now.ravel(), numbers[:192])
    np.testing.assert_array_equal(later.ravel(), numbers[1:193])
    assert language_model.number_characters("\n ~é").tolist() == [1, 2, 96, 0]


def test_the_language_model_sees_no_later_character(embedded):
    model = find_workload("language-model").build_model()
    x = embedded("language-model").x_val[:1].copy()
    before = np.asarray(model(x))
    x[0, 40:] = 5
    after = np.asarray(model(x))
    np.testing.assert_allclose(before[0, :40], after[0, :40], atol=1e-5)
    assert np.abs(before[0, 40:] - after[0, 40:]).max() > 1e-3


def test_counting_words_does_not_tell_praise_from_blame():
    texts, labels = opinions.make_opinions()
    assert len(set(texts)) == len(texts) == opinions.SENTENCES
    assert 0.45 < np.mean(labels) < 0.55
    counts = CountVectorizer().fit_transform(texts)
    scores = cross_val_score(LogisticRegression(), counts, labels, cv=3)
    assert scores.mean() < 0.75


@pytest.fixture(scope="module")
def voices():
    return formant_voices.speak_digits()


def test_voices_speak_every_digit(voices):
    counts = np.zeros((6, 10), int)
    np.add.at(counts, (voices.speaker, voices.digit), 1)
    assert (counts == formant_voices.RECORDINGS).all()
    seconds = np.array([len(wave) for wave in voices.samples]) / SAMPLE_RATE
    assert 0.1 < seconds.min() < seconds.max() < 1.0
    assert max(np.abs(wave).max() for wave in voices.samples) <= 1.0
    assert len({wave.tobytes() for wave in voices.samples}) == len(voices.samples)


def test_a_voice_has_the_pitch_and_the_resonances_it_was_given():
    voice = formant_voices.VOICES["Carl"]
    generator = np.random.default_rng(0)
    wave = formant_voices.speak(8, voice, generator)[200:1400]  # "ei" of "eight"
    # The pitch: where the sound is most like itself later.
    likeness = np.correlate(wave, wave, "full")[len(wave) - 1 :]
    lags = np.arange(SAMPLE_RATE // 300, SAMPLE_RATE // 60)
    pitch = SAMPLE_RATE / lags[likeness[lags].argmax()]
    assert pitch == pytest.approx(voice.pitch, rel=0.25)
    hertz, _, power = spectrogram(wave, SAMPLE_RATE, nperseg=512)
    power = power.mean(1)
    first, valley, second = (
        power[(low <= hertz) & (hertz < high)].mean()
        for low, high in ((400, 650), (950, 1450), (1700, 2200))
    )
    assert first > 10 * valley
    assert second > 2 * valley


def test_recordings_to_judge_by_are_never_learnt_from(voices):
    train, validation = recordings.split(voices)
    assert len(train.samples) + len(validation.samples) == len(voices.samples)
    heard = {wave.tobytes() for wave in train.samples}
    assert heard.isdisjoint(wave.tobytes() for wave in validation.samples)
    assert validation.recording.max() == 4 < train.recording.min()


def test_strings_are_joined_of_one_speaker_and_one_part(monkeypatch):
    """Each fake recording says in its samples who, what and which take it is."""
    rows = list(itertools.product(range(2), range(10), range(10)))
    fake = recordings.Recordings(
        samples=[np.full(900, 1 + 100 * s + 10 * d + t, "float32") for s, d, t in rows],
        digit=np.array([d for _, d, _ in rows]),
        speaker=np.array([s for s, _, _ in rows]),
        recording=np.array([t for _, _, t in rows]),
        names=("a", "b"),
    )
    monkeypatch.setattr(speech_to_text, "speak_digits", lambda: fake)
    monkeypatch.setattr(speech_to_text, "log_mel", lambda waves, _: waves)
    data = speech_to_text.load_data(None)
    for waves, labels, takes in (
        (data.x_train, data.y_train, range(5, 10)),
        (data.x_val, data.y_val, range(5)),
    ):
        for wave, label in zip(waves, labels, strict=True):
            # Pauses, silent but for the room's noise, stand between the recordings.
            heard = np.round(wave).astype(int)
            said = [code - 1 for code, _ in itertools.groupby(heard) if code]
            assert [code // 10 % 10 for code in said] == list(label[label > 0] - 1)
            assert 2 <= len(said) <= 4
            assert len({code // 100 for code in said}) == 1
            assert {code % 10 for code in said} <= set(takes)


def test_spectrograms_show_a_tone_in_its_band():
    time = np.arange(8000) / SAMPLE_RATE
    low, high = (
        np.sin(2 * np.pi * hertz * time).astype("float32") for hertz in (300, 3000)
    )
    pictures = log_mel.log_mel([low, high, low[:800]], 4000)
    assert pictures.shape == (3, 25, log_mel.BANDS)
    assert pictures[0].mean(0).argmax() < 10 < 20 < pictures[1].mean(0).argmax()
    assert pictures[2, 10:].max() < pictures[2, :4].max()


@needs_real_data
@pytest.mark.parametrize("name", APPLICATIONS)
def test_real_data_are_read(name, monkeypatch):
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(REAL_DATA))
    workload = find_workload(name)
    assert workload.description != _description_of_embedded(name, monkeypatch)
    data = load_checked_data(workload, workload.batch_sizes)
    check_shapes(data, REAL_SHAPES[name])
    check_nothing_is_in_both_parts(name, data)
    assert trivial(name, data)[SHORT[name][3]] > 0
    output = workload.build_model()(data.x_val[:2])
    assert np.isfinite(np.mean(workload.loss(data.y_val[:2], output)))


def _description_of_embedded(name, monkeypatch):
    with monkeypatch.context() as embedded:
        embedded.delenv(DIRECTORY_VARIABLE)
        return find_workload(name).description
