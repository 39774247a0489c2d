"""What save_atomically leaves on the disk, beside what model.save leaves."""

import errno
import json
import os
import stat
import threading
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_adam

# Keras writes files in the same way under every backend.
pytestmark = pytest.mark.tensorflow_only

ENDINGS = [".keras", ".weights.h5"]
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


class TinyModel(keras.Model):
    """Stands for a model whose saving takes no time: it writes what it was given."""

    def __init__(self, content="new", error=None):
        super().__init__()
        self.content, self.error, self.seen = content, error, None

    def save(self, filepath, **options):
        self.seen = Path(filepath)
        with open(filepath, "w") as file:
            file.write(self.content)
            if self.error:
                raise self.error

    def save_weights(self, filepath, **options):
        self.save(filepath)


def names(directory):
    return sorted(entry.name for entry in os.scandir(directory))


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture
def umask():
    previous = os.umask(0o027)
    yield 0o027
    os.umask(previous)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path, ending):
    real = tmp_path / "versions" / f"7{ending}"
    real.parent.mkdir()
    real.write_text("old")
    middle, link = tmp_path / "middle", tmp_path / f"model{ending}"
    middle.symlink_to(Path("versions") / real.name)  # relative to where it lies
    link.symlink_to(middle)
    assert keras_adam.save_atomically(TinyModel(), link) == link
    assert link.is_symlink()
    assert middle.is_symlink()
    assert real.read_text() == "new"
    assert not real.is_symlink()
    assert names(real.parent) == [real.name]
    assert names(tmp_path) == sorted(["middle", link.name, "versions"])


def test_a_link_to_a_file_of_another_ending_is_followed(tmp_path):
    link = tmp_path / "model.keras"
    link.symlink_to("blob-1234")
    keras_adam.save_atomically(TinyModel(), link)  # the link dangled
    assert link.is_symlink()
    assert (tmp_path / "blob-1234").read_text() == "new"
    assert names(tmp_path) == ["blob-1234", "model.keras"]


def test_links_that_lead_nowhere_are_refused(tmp_path):
    loop = tmp_path / "loop.keras"
    loop.symlink_to(loop)
    model = TinyModel()
    with pytest.raises(OSError, match=r"loop\.keras") as raised:
        keras_adam.save_atomically(model, loop)
    assert raised.value.errno == errno.ELOOP
    lost = tmp_path / "lost.keras"
    lost.symlink_to(tmp_path / "missing" / "model.keras")
    with pytest.raises(FileNotFoundError, match="missing"):
        keras_adam.save_atomically(model, lost)
    assert model.seen is None


@pytest.mark.parametrize("mode", [0o660, 0o600, 0o644, 0o666])
def test_a_file_that_existed_keeps_its_mode(tmp_path, umask, mode):
    path = tmp_path / "model.keras"
    path.write_text("old")
    path.chmod(mode)
    os.utime(path, (1, 1))
    keras_adam.save_atomically(TinyModel(), path)
    assert path.read_text() == "new"
    assert mode_of(path) == mode
    assert path.stat().st_mtime > 1e9


def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path, umask):
    for name in ("a.keras", "b.weights.h5"):
        keras_adam.save_atomically(TinyModel(), tmp_path / name)
        assert mode_of(tmp_path / name) == 0o666 & ~umask


def test_a_file_is_private_while_it_is_written(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("old")
    path.chmod(0o600)
    model = TinyModel()
    keras_adam.save_atomically(model, path)
    assert model.seen.parent.parent == tmp_path
    modes = []
    model.save = lambda file: (
        modes.append(mode_of(Path(file).parent)),
        Path(file).write_text("newer"),
    )
    keras_adam.save_atomically(model, path)
    assert modes == [0o700]


@pytest.mark.skipif(not IS_ROOT, reason="only root may give files away")
def test_a_file_that_existed_keeps_owner_and_group(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("old")
    os.chown(path, 12345, 23456)
    path.chmod(0o640)
    keras_adam.save_atomically(TinyModel(), path)
    status = path.stat()
    assert (status.st_uid, status.st_gid) == (12345, 23456)
    assert mode_of(path) == 0o640


def test_a_file_that_existed_keeps_extended_attributes(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("old")
    try:
        os.setxattr(path, "user.note", b"mine")
    except (AttributeError, OSError):
        pytest.skip("this file system has no extended attributes")
    keras_adam.save_atomically(TinyModel(), path)
    assert os.getxattr(path, "user.note") == b"mine"


def test_another_hard_link_keeps_the_previous_content(tmp_path):
    path, backup = tmp_path / "model.keras", tmp_path / "backup.keras"
    path.write_text("old")
    os.link(path, backup)
    keras_adam.save_atomically(TinyModel(), path)
    assert (path.read_text(), backup.read_text()) == ("new", "old")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path, ending):
    path = tmp_path / ("é" * ((255 - len(ending)) // 2) + ending)
    path = path.with_name("x" * (255 - len(os.fsencode(path.name))) + path.name)
    assert len(os.fsencode(path.name)) == 255
    for content in ("first", "second"):
        keras_adam.save_atomically(TinyModel(content), path)
        assert path.read_text() == content
    assert names(tmp_path) == [path.name]


def test_real_models_are_saved_under_unusual_names(tmp_path):
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    directory = tmp_path / os.fsdecode(b"undecodable \xff")
    directory.mkdir()
    for name in (".keras", "x" * 249 + ".keras", "x" * 244 + ".weights.h5"):
        path = keras_adam.save_atomically(model, str(directory / name))
        if name.endswith(".keras"):
            loaded = keras.models.load_model(path)
        else:
            loaded = keras.models.clone_model(model)
            loaded.load_weights(path)
        for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    assert len(names(directory)) == 3


def test_a_path_is_relative_to_where_saving_began(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    model = TinyModel()
    write = model.save

    def save(filepath):
        write(filepath)
        os.chdir("elsewhere")

    model.save = save
    assert keras_adam.save_atomically(model, "model.keras") == Path("model.keras")
    assert (tmp_path / "model.keras").read_text() == "new"
    assert names(tmp_path) == ["elsewhere", "model.keras"]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt(), SystemExit()]
)
def test_an_interruption_leaves_the_previous_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "model.keras"
    path.write_text("old")
    with pytest.raises(type(error)):
        keras_adam.save_atomically(TinyModel(error=error), path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["model.keras"]


def test_what_cannot_be_replaced_is_refused_before_saving(tmp_path):
    model = TinyModel()
    directory = tmp_path / "directory.keras"
    directory.mkdir()
    with pytest.raises(IsADirectoryError, match=r"directory\.keras"):
        keras_adam.save_atomically(model, directory)
    with pytest.raises(FileNotFoundError, match=r"no directory.*missing"):
        keras_adam.save_atomically(model, tmp_path / "missing" / "model.keras")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileNotFoundError, match=r"no directory.*file"):
        keras_adam.save_atomically(model, tmp_path / "file" / "model.keras")
    device = tmp_path / "device.keras"
    device.symlink_to(os.devnull)
    with pytest.raises(OSError, match=r"regular file.*device\.keras"):
        keras_adam.save_atomically(model, device)
    with pytest.raises(OSError, match=r"x\.keras"):
        keras_adam.save_atomically(model, tmp_path / ("x" * 250 + ".keras"))
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    assert model.seen is None
    assert names(tmp_path) == ["device.keras", "directory.keras", "file"]


def test_what_this_process_may_not_write_is_refused_before_saving(
    tmp_path, monkeypatch
):
    path = tmp_path / "model.keras"
    path.write_text("old")
    model = TinyModel()
    # Root may write anything, so the system's answers are put in place of a mode.
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda *_, **__: False)
        with pytest.raises(PermissionError, match=r"model\.keras"):
            keras_adam.save_atomically(model, path)
    with monkeypatch.context() as patched:

        def mkdir(name, *_):
            raise PermissionError(errno.EACCES, "Permission denied", name)

        patched.setattr(os, "mkdir", mkdir)
        with pytest.raises(PermissionError, match=r"beside it.*model\.save"):
            keras_adam.save_atomically(model, path)
    assert model.seen is None
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    "path", [None, 3, b"model.keras", 2.5, ["model.keras"], object()]
)
def test_what_is_no_path_is_refused(path):
    with pytest.raises(TypeError, match="path must be a str"):
        keras_adam.save_atomically(TinyModel(), path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gs://bucket/model.keras", "local file system.*gs://bucket"),
        ("hf://me/model.keras", "local file system.*hf://me"),
        ("", "must end in one of.*''"),
        ("model.h5", r"must end in one of.*model\.h5"),
        ("model.weights.json", r"must end in one of.*model\.weights\.json"),
        ("a\0.keras", "null character"),
    ],
)
def test_what_cannot_be_saved_atomically_is_refused(path, message):
    with pytest.raises(ValueError, match=message):
        keras_adam.save_atomically(TinyModel(), path)


def test_options_that_write_several_files_are_refused(tmp_path):
    model = TinyModel()
    with pytest.raises(ValueError, match="zipped=False"):
        keras_adam.save_atomically(model, tmp_path / "a.keras", zipped=False)
    with pytest.raises(ValueError, match=r"max_shard_size=0\.5"):
        keras_adam.save_atomically(model, tmp_path / "a.weights.h5", max_shard_size=0.5)
    with pytest.raises(TypeError, match="model must be a Keras model; received 5"):
        keras_adam.save_atomically(5, tmp_path / "a.keras")
    assert names(tmp_path) == []
    keras_adam.save_atomically(model, tmp_path / "a.keras", zipped=True)
    keras_adam.save_atomically(model, tmp_path / "a.weights.h5", max_shard_size=None)
    assert names(tmp_path) == ["a.keras", "a.weights.h5"]


def test_without_overwriting_one_of_two_saves_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    model = TinyModel("second")
    write = model.save

    def save(filepath, **options):
        write(filepath)
        keras_adam.save_atomically(TinyModel("first"), path, overwrite=False)

    model.save = save
    with pytest.raises(FileExistsError, match="overwrite=False"):
        keras_adam.save_atomically(model, path, overwrite=False)
    assert path.read_text() == "first"
    for overwrite in (False, None, 0):
        with pytest.raises(FileExistsError, match=r"overwrite=False.*model\.keras"):
            keras_adam.save_atomically(model, path, overwrite=overwrite)
    assert names(tmp_path) == ["model.keras"]


def test_threads_may_save_to_one_path(tmp_path):
    path, errors = tmp_path / "model.keras", []
    meet = threading.Barrier(4)

    def save(number):
        model = TinyModel(json.dumps([number] * 1000))
        write = model.save

        def together(filepath):
            write(filepath)
            meet.wait(60)

        model.save = together
        try:
            keras_adam.save_atomically(model, path)
        except BaseException as error:  # told below, in the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=save, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(set(json.loads(path.read_text()))) == 1
    assert names(tmp_path) == ["model.keras"]
