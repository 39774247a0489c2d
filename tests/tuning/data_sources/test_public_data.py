"""Real data: downloaded from a server on this machine, converted, kept, refused."""

import dataclasses
import hashlib
import http.server
import io
import os
import pathlib
import socket
import tarfile
import tempfile
import threading

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from tuning.data_sources import (
    cell_membranes,
    movie_reviews,
    news,
    public_data,
    raccoons,
    shakespeare,
    spoken_digits,
)
from tuning.data_sources.archive import digest_of_members, read_members
from tuning.data_sources.public_data import (
    DIRECTORY_VARIABLE,
    data_directory,
    find_file,
    real_data_in,
)
from tuning.workload import load_checked_data
from tuning.workloads import find_workload

PUBLIC = {
    "news": news.SOURCE,
    "movie reviews": movie_reviews.SOURCE,
    "shakespeare": shakespeare.SOURCE,
    "spoken digits": spoken_digits.SOURCE,
    "raccoons": raccoons.SOURCE,
    "cell membranes": cell_membranes.SOURCE,
}
PLAY = "First Citizen:\nHear me speak.\n\n" * 400


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers from a table of paths; some answers are broken on purpose."""

    def do_GET(self):
        self.server.asked.append(self.path)
        content = self.server.contents.get(self.path)
        if content is None:
            self.send_error(404)
            return
        if content == "silence":
            self.server.released.wait(10)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        end = len(content) // 2 if self.path.endswith(".broken") else None
        self.wfile.write(content[:end])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """A server on the loopback interface; ``contents`` by path."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.contents, server.asked = {}, []
    server.released = threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def served(server, source, content, name="data", **changes):
    """The source, published on the loopback server with the right checksum."""
    server.contents[f"/{name}"] = content
    if source.members_sha256:
        members = read_members_of(content, source.members)
        changes = {"members_sha256": digest_of_members(members), **changes}
    else:
        changes = {"sha256": sha256(content), **changes}
    return dataclasses.replace(source, url=f"{server.url}/{name}", **changes)


def read_members_of(content, patterns):
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "archive"
        path.write_bytes(content)
        return read_members(path, patterns)


def packed(contents, top="repository-1a2b3c"):
    """A tar.gz as GitHub makes them: everything in one directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        directory = tarfile.TarInfo(top)
        directory.type = tarfile.DIRTYPE
        archive.addfile(directory)
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def packed_link(name, target):
    """A tar.gz with a link that leads out of it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(f"top/{name}")
        member.type, member.linkname = tarfile.SYMTYPE, target
        archive.addfile(member)
    return buffer.getvalue()


def files_in(directory):
    return sorted(os.listdir(directory))


def test_a_missing_file_is_downloaded_once_and_kept(server, tmp_path, capsys):
    source = served(server, shakespeare.SOURCE, PLAY.encode())
    directory = tmp_path / "data" / "real"
    path = find_file(source, directory)
    assert path.read_text() == PLAY
    assert files_in(directory) == ["tiny_shakespeare.txt"]
    assert find_file(source, directory) == path
    assert server.asked == ["/data"]
    assert capsys.readouterr().out == ""  # results alone go there


def test_a_file_that_is_there_is_read_and_never_replaced(server, tmp_path):
    (tmp_path / "tiny_shakespeare.txt").write_text("mine")
    source = served(server, shakespeare.SOURCE, PLAY.encode())
    assert find_file(source, tmp_path).read_text() == "mine"
    assert server.asked == []


def test_a_wrong_checksum_is_told_and_nothing_is_kept(server, tmp_path):
    source = served(server, shakespeare.SOURCE, PLAY.encode(), sha256="0" * 64)
    with pytest.raises(ValueError, match=r"SHA-256 differs.*Try again, or put tiny_sh"):
        find_file(source, tmp_path)
    assert files_in(tmp_path) == []


def test_a_wrong_checksum_of_an_archive_is_told(server, tmp_path):
    content = packed({"recordings/0_ann_0.wav": b"RIFF"})
    source = served(server, spoken_digits.SOURCE, content, members_sha256="0" * 64)
    with pytest.raises(ValueError, match="SHA-256 differs"):
        find_file(source, tmp_path)
    assert files_in(tmp_path) == []


def test_a_broken_connection_is_told_and_nothing_is_kept(server, tmp_path):
    content = PLAY.encode()
    source = served(server, shakespeare.SOURCE, content, name="half.broken")
    with pytest.raises(ConnectionError, match=r"retrieval incomplete.*Try again, or"):
        find_file(source, tmp_path)
    assert files_in(tmp_path) == []


def test_a_page_that_is_not_there_is_told(server, tmp_path):
    source = served(server, shakespeare.SOURCE, b"")
    source = dataclasses.replace(source, url=f"{server.url}/moved")
    with pytest.raises(ConnectionError, match="404"):
        find_file(source, tmp_path)


def test_no_server_is_told(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        url = f"http://127.0.0.1:{port}/data"
        source = dataclasses.replace(shakespeare.SOURCE, url=url)
        with pytest.raises(ConnectionError, match=r"refused.*leave --data-dir away"):
            find_file(source, tmp_path)
    assert files_in(tmp_path) == []


def test_a_silent_server_is_not_waited_for_for_ever(server, tmp_path, monkeypatch):
    monkeypatch.setattr(public_data, "SECONDS_WITHOUT_AN_ANSWER", 0.2)
    source = served(server, shakespeare.SOURCE, b"")
    server.contents["/data"] = "silence"
    with pytest.raises(ConnectionError, match="timed out"):
        find_file(source, tmp_path)
    assert socket.getdefaulttimeout() is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_directory_that_cannot_be_written_to_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="cannot be downloaded into it"):
        find_file(shakespeare.SOURCE, tmp_path)


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="name a directory that can be written to"):
        find_file(shakespeare.SOURCE, tmp_path / "file" / "below")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>moved</html>", "cannot be read as a tar archive"),
        (packed({"README": b""}), r"the archive holds no \*rt-polarity.pos"),
        (
            packed_link("rt-polarity.pos", "/etc/hostname"),
            "cannot be read as a tar arc",
        ),
        (
            packed({"rt-polarity.pos": os.urandom(9999)})[:5000] + bytes(5000),
            "cannot be read as a tar archive",
        ),
    ],
    ids=["no archive", "another archive", "link", "damaged"],
)
def test_another_archive_than_expected_is_told(server, tmp_path, content, message):
    source = served(server, movie_reviews.SOURCE, content)
    with pytest.raises(ValueError, match=message):
        find_file(source, tmp_path)
    assert files_in(tmp_path) == []


def test_another_form_than_expected_is_told_with_what_to_do(server, tmp_path):
    source = served(server, news.SOURCE, b'"3","only a title"\n')
    with pytest.raises(ValueError, match=r"another form than expected.*Try again"):
        find_file(source, tmp_path)
    assert files_in(tmp_path) == []


def test_the_error_reaches_the_user_of_a_workload_whole(server, tmp_path, monkeypatch):
    url = f"{server.url}/moved"
    source = dataclasses.replace(shakespeare.SOURCE, url=url)
    monkeypatch.setattr(shakespeare, "SOURCE", source)
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    with pytest.raises(ValueError, match="load_data of workload 'language-model'") as e:
        load_checked_data(find_workload("language-model"), [1])
    assert "404" in str(e.value)
    assert "for the embedded data." in str(e.value)


def test_every_public_source_has_one_checksum():
    for source in PUBLIC.values():
        checksums = [source.sha256, source.members_sha256]
        (checksum,) = [c for c in checksums if c is not None]
        assert len(checksum) == 64
        assert int(checksum, 16)
        assert source.url.startswith("https://")
        assert source.licence


def test_the_digest_of_members_is_that_of_sha256sum(tmp_path):
    contents = {"b/2.txt": b"two", "b/10.txt": b"ten", "a.txt": b""}
    lines = (
        f"{sha256(b'')}  a.txt\n{sha256(b'ten')}  b/10.txt\n{sha256(b'two')}  b/2.txt\n"
    )
    assert digest_of_members(contents) == sha256(lines.encode())
    assert read_members_of(packed(contents), ["b/*", "a.txt"]) == contents


def test_news_are_converted(server, tmp_path, monkeypatch):
    published = '"3","A ""deal""","Two firms\\agree."\n"1","War","Peace, too"\n'
    source = served(server, news.SOURCE, published.encode())
    monkeypatch.setattr(news, "SOURCE", source)
    texts, labels = news.read_news(tmp_path)
    assert texts == ['A "deal" Two firms agree.', "War Peace, too"]
    assert labels == [2, 0]
    assert (tmp_path / "ag_news.tsv").read_text() == (
        '2\tA "deal"\tTwo firms agree.\n0\tWar\tPeace, too\n'
    )


def test_movie_reviews_are_converted(server, tmp_path, monkeypatch):
    # A line break of Unicode (\x85) inside a sentence ends none.
    contents = {
        "rt-polarity.pos": "a clich\xe9 \x85 and yet fine . \nlovely . \n".encode(
            "latin-1"
        ),
        "rt-polarity.neg": b"dull . \n",
    }
    source = served(server, movie_reviews.SOURCE, packed(contents, "rt-polaritydata"))
    monkeypatch.setattr(movie_reviews, "SOURCE", source)
    texts, labels = movie_reviews.read_movie_reviews(tmp_path)
    assert [text.replace("\x85", "").split() for text in texts] == [
        ["a", "cliché", "and", "yet", "fine", "."],
        ["lovely", "."],
        ["dull", "."],
    ]
    assert labels == [1, 1, 0]


def wav(samples, rate=8000):
    buffer = io.BytesIO()
    wavfile.write(buffer, rate, np.asarray(samples, "int16"))
    return buffer.getvalue()


def test_spoken_digits_are_converted(server, tmp_path, monkeypatch):
    contents = {
        "recordings/7_theo_12.wav": wav([3, -3, 16384]),
        "recordings/0_ann_4.wav": wav([1, 2]),
        "README.md": b"",
    }
    source = served(server, spoken_digits.SOURCE, packed(contents))
    monkeypatch.setattr(spoken_digits, "SOURCE", source)
    recordings = spoken_digits.read_spoken_digits(tmp_path)
    assert recordings.names == ("ann", "theo")
    assert recordings.digit.tolist() == [0, 7]
    assert recordings.speaker.tolist() == [0, 1]
    assert recordings.recording.tolist() == [4, 12]
    np.testing.assert_allclose(recordings.samples[0], [1 / 32768, 2 / 32768])
    np.testing.assert_allclose(recordings.samples[1][2], 0.5)


def test_recordings_at_another_rate_are_refused(server, tmp_path):
    content = packed({"recordings/7_theo_12.wav": wav([1], rate=16000)})
    source = served(server, spoken_digits.SOURCE, content)
    with pytest.raises(ValueError, match="not a mono recording of 16 bits at 8000 Hz"):
        find_file(source, tmp_path)


def picture(array, kind):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def annotation(width, height, *boxes):
    objects = "".join(
        f"<object><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax>"
        f"<ymax>{d}</ymax></bndbox></object>"
        for a, b, c, d in boxes
    )
    size = f"<size><width>{width}</width><height>{height}</height></size>"
    return f"<annotation>{size}{objects}</annotation>".encode()


def test_raccoons_are_converted(server, tmp_path, monkeypatch):
    red = np.zeros((50, 100, 3), np.uint8)
    red[..., 0] = 200
    contents = {
        "annotations/raccoon-2.xml": annotation(100, 50, (10, 5, 60, 45)),
        "annotations/raccoon-1.xml": annotation(20, 40, (0, 0, 10, 10), (5, 4, 20, 40)),
        "images/raccoon-2.jpg": picture(red, "JPEG"),
        "images/raccoon-1.jpg": picture(np.zeros((40, 20), np.uint8), "JPEG"),
    }
    source = served(server, raccoons.SOURCE, packed(contents))
    monkeypatch.setattr(raccoons, "SOURCE", source)
    photographs = raccoons.read_raccoons(tmp_path)
    assert photographs.image.shape == (2, 128, 128, 3)
    assert photographs.image[0].max() == 0
    assert np.abs(photographs.image[1].mean((0, 1)) - [200, 0, 0]).max() < 3
    np.testing.assert_allclose(
        photographs.boxes[0], [[0, 0, 0.5, 0.25], [0.25, 0.1, 1, 1]]
    )
    np.testing.assert_allclose(photographs.boxes[1], [[0.1, 0.1, 0.6, 0.9]])


def test_cell_membranes_are_converted_in_the_order_of_their_numbers(
    server, tmp_path, monkeypatch
):
    contents = {}
    for number in range(11):  # "10" stands before "2" in the order of names
        image = np.full((512, 512), 10 * number, np.uint8)
        label = np.zeros((512, 512), np.uint8)
        label[:, : 40 * number] = 255
        contents[f"data/membrane/train/image/{number}.png"] = picture(image, "PNG")
        contents[f"data/membrane/train/label/{number}.png"] = picture(label, "PNG")
    source = served(server, cell_membranes.SOURCE, packed(contents))
    monkeypatch.setattr(cell_membranes, "SOURCE", source)
    slices = cell_membranes.read_cell_membranes(tmp_path)
    assert slices.image.shape == slices.mask.shape == (11, 256, 256)
    assert slices.image[:, 9, 9].tolist() == [10 * number for number in range(11)]
    assert slices.mask[:, 0].sum(-1).tolist() == [20 * number for number in range(11)]
    assert set(np.unique(slices.mask)) == {0, 1}


@pytest.mark.parametrize(
    ("read", "name", "content", "message"),
    [
        (news.read_news, "ag_news.tsv", b"4\ta\tb\n", "line 1: expected a label"),
        (news.read_news, "ag_news.tsv", b"\n", "holds no labelled text"),
        (
            movie_reviews.read_movie_reviews,
            "movie_review_sentences.tsv",
            b"1\tfine\ngood\n",
            "line 2: expected a label from 0 to 1.*'good'",
        ),
        (shakespeare.read_shakespeare, "tiny_shakespeare.txt", b"To be", "too few"),
        (
            shakespeare.read_shakespeare,
            "tiny_shakespeare.txt",
            b"\xff" * 10_000,
            r"tiny_shakespeare.txt cannot be read: it is not text in UTF-8",
        ),
        (news.read_news, "ag_news.tsv", b"1\t\xff\n", "it is not text in UTF-8"),
        (raccoons.read_raccoons, "raccoons.npz", b"no", "must be an .npz file with"),
        (
            spoken_digits.read_spoken_digits,
            "free_spoken_digits.npz",
            "empty",
            "must be an .npz file with the arrays samples, offsets",
        ),
    ],
)
def test_a_file_of_another_form_is_told(tmp_path, read, name, content, message):
    if content == "empty":
        np.savez(tmp_path / name, something_else=np.ones(3))
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_what_stands_in_the_place_of_a_file_is_told_and_kept(server, tmp_path):
    source = served(server, shakespeare.SOURCE, PLAY.encode())
    path = tmp_path / source.file
    path.symlink_to("nowhere")
    with pytest.raises(ValueError, match="is a symbolic link to nowhere; it must be a"):
        find_file(source, tmp_path)
    assert path.is_symlink()
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match="is a directory; it must be a file"):
        find_file(source, tmp_path)
    assert server.asked == []


def test_the_directory_is_named_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv(DIRECTORY_VARIABLE, raising=False)
    assert data_directory() is None
    monkeypatch.setenv(DIRECTORY_VARIABLE, " ")
    assert data_directory() is None
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "new"))
    assert data_directory() == tmp_path / "new"
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(ValueError, match="must be a directory; received the file"):
        data_directory()


def test_real_data_are_wanted_for_a_while(tmp_path, monkeypatch):
    monkeypatch.delenv(DIRECTORY_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    with real_data_in(None):
        assert data_directory() is None
    with real_data_in(pathlib.Path("real")):
        assert data_directory() == tmp_path / "real"
    assert data_directory() is None
