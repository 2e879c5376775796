"""A download has its final name only when it is whole, whatever the server does."""

import contextlib
import email.utils
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from support.cli_runs import as_json

from pcam_sklearn.datasets import _download, _fetch
from pcam_sklearn.datasets._fetch import fetch_pcam
from pcam_sklearn.datasets._pcam_files import ARCHIVE_MD5

STEM = "camelyonpatch_level_2_split_valid_"
BIG = STEM + "x.h5.gz"
FILES = {
    BIG: np.random.default_rng(0).bytes(300_001),
    STEM + "y.h5.gz": b"labels",
    STEM + "meta.csv": b"meta",
}
MD5 = {name: hashlib.md5(content).hexdigest() for name, content in FILES.items()}

Behaviour = Callable[["Handler", bytes, int], None]


class Handler(BaseHTTPRequestHandler):
    """Serve files with ranges, or misbehave as the test has ordered for the next request."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2].partition("?")[0]
        span = self.headers.get("Range")
        self.server.requests.append((name, span))
        self.server.at_each_request()
        content = self.server.files[name]
        start = int(span.removeprefix("bytes=").rstrip("-")) if span else 0
        orders = self.server.orders.get(name, [])
        (orders.pop(0) if orders else whole)(self, content, start)

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        if "Content_Length" not in headers and "Transfer_Encoding" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


def whole(handler: Handler, content: bytes, start: int) -> None:
    if start >= len(content):
        handler.answer(416, b"", Content_Range=f"bytes */{len(content)}")
    elif start:
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.answer(206, content[start:], Content_Range=span)
    else:
        handler.answer(200, content)


def cut_after(n: int) -> Behaviour:
    """Break the connection n bytes after the start of the answer."""

    def behave(handler: Handler, content: bytes, start: int) -> None:
        rest = content[start:]
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        headers = {"Content_Length": str(len(rest))} | ({"Content_Range": span} if start else {})
        handler.answer(206 if start else 200, rest[:n], **headers)
        handler.close_connection = True

    return behave


def hang_up(handler: Handler, content: bytes, start: int) -> None:
    handler.close_connection = True


def refuse_range(handler: Handler, content: bytes, start: int) -> None:
    handler.answer(200, content)


def cut_from_the_beginning(handler: Handler, content: bytes, start: int) -> None:
    cut_after(60_000)(handler, content, 0)


def wrong_range(handler: Handler, content: bytes, start: int) -> None:
    handler.answer(206, content, Content_Range=f"bytes 0-{len(content) - 1}/{len(content)}")


def wrong_bytes(handler: Handler, content: bytes, start: int) -> None:
    whole(handler, bytes(len(content)), start)


def without_length(handler: Handler, content: bytes, start: int) -> None:
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
    handler.answer(200, chunk, Transfer_Encoding="chunked")


def cut_without_length(handler: Handler, content: bytes, start: int) -> None:
    chunk = b"%x\r\n%b" % (len(content), content[:1000])
    handler.answer(200, chunk, Transfer_Encoding="chunked")
    handler.close_connection = True


def silence(handler: Handler, content: bytes, start: int) -> None:
    handler.answer(200, content[:10], Content_Length=str(len(content)))
    handler.server.done.wait(5)
    handler.close_connection = True


def status(code: int, **headers: str) -> Behaviour:
    return lambda handler, content, start: handler.answer(code, b"no", **headers)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = dict(FILES)
        self.orders: dict[str, list[Behaviour]] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.at_each_request: Callable[[], object] = lambda: None
        self.done = threading.Event()

    def ranges(self, name: str = BIG) -> list[str | None]:
        return [span for asked, span in self.requests if asked == name]


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.done.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """Collect the seconds of each wait, without waiting."""
    seconds: list[float] = []
    monkeypatch.setattr(_download.time, "sleep", seconds.append)
    return seconds


@pytest.fixture
def fetch(server, waits, tmp_path) -> Callable[..., list[Path]]:
    def call(**options):
        options = {"splits": ("valid",), "md5": MD5, "progress": False, "timeout": 5} | options
        url = f"http://127.0.0.1:{server.server_port}/record/{{name}}?download=1"
        return fetch_pcam(tmp_path / "pcam", **{"base_url": url} | options)

    return call


def assert_whole(folder: Path) -> None:
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES


def part_of(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pcam").mkdir()
    (tmp_path / "pcam" / f"{BIG}.part").write_bytes(content)


def test_all_files_of_a_split_are_downloaded(server, fetch, tmp_path):
    assert fetch() == [tmp_path / "pcam" / name for name in FILES]
    assert_whole(tmp_path / "pcam")
    assert server.requests == [(name, None) for name in FILES]


def test_the_command_downloads_a_split_and_goes_on_where_it_broke_off(
    server, waits, tmp_path, monkeypatch
):
    monkeypatch.setattr(_fetch, "ARCHIVE_MD5", MD5)
    part_of(tmp_path, FILES[BIG][:100])
    url = f"http://127.0.0.1:{server.server_port}/record/{{name}}?download=1"
    facts = as_json("fetch", tmp_path / "pcam", "--split", "valid", "--base-url", url)
    assert facts["files"] == list(FILES)
    assert_whole(tmp_path / "pcam")
    assert server.requests[0] == (BIG, "bytes=100-")


def test_all_splits_are_downloaded_unless_told_otherwise(server, fetch):
    for split in ("train", "test"):
        for name, content in FILES.items():
            server.files[name.replace("valid", split)] = content
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in server.files.items()}
    paths = fetch(md5=md5, splits=("train", "valid", "test"))
    assert [path.name for path in paths] == list(ARCHIVE_MD5)


def test_a_connection_that_breaks_is_continued_where_it_broke(server, fetch, tmp_path, waits):
    server.orders[BIG] = [cut_after(100_000), cut_after(50_000)]
    fetch()
    assert_whole(tmp_path / "pcam")
    assert server.ranges() == [None, "bytes=100000-", "bytes=150000-"]
    assert waits == [1, 2]


def test_a_download_of_an_earlier_call_is_continued(server, fetch, tmp_path):
    server.orders[BIG] = [cut_after(100_000)]
    with pytest.raises(OSError, match=r"100,000 bytes are kept in .*x\.h5\.gz\.part"):
        fetch(retries=0)
    fetch()
    assert_whole(tmp_path / "pcam")
    assert server.ranges() == [None, "bytes=100000-"]


def test_a_download_of_which_nothing_came_leaves_neither_advice_about_a_file_nor_a_folder(
    server, fetch, tmp_path
):
    server.orders[BIG] = [hang_up, hang_up]
    with pytest.raises(OSError, match="nothing came, so call again later"):
        fetch(retries=1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_stays_when_nothing_came(server, fetch, tmp_path):
    (tmp_path / "pcam").mkdir()
    server.orders[BIG] = [hang_up]
    with pytest.raises(OSError, match="nothing came"):
        fetch(retries=0)
    assert list(tmp_path.iterdir()) == [tmp_path / "pcam"]


def test_a_connection_that_is_closed_without_an_answer_is_tried_again(server, fetch, tmp_path):
    server.orders[BIG] = [hang_up]
    fetch()
    assert_whole(tmp_path / "pcam")


def test_a_server_that_falls_silent_is_asked_again(server, fetch, tmp_path):
    server.orders[BIG] = [silence]
    fetch(timeout=0.2)
    assert_whole(tmp_path / "pcam")
    assert server.ranges() == [None, "bytes=10-"]


def test_a_server_that_refuses_ranges_sends_everything_again(server, fetch, tmp_path):
    server.orders[BIG] = [cut_after(100_000), refuse_range]
    fetch()
    assert_whole(tmp_path / "pcam")


def test_a_range_from_the_beginning_that_was_not_asked_for_is_not_appended(server, fetch, tmp_path):
    server.orders[BIG] = [cut_after(100_000), wrong_range]
    fetch()
    assert_whole(tmp_path / "pcam")
    assert server.ranges() == [None, "bytes=100000-"]


RANGES = ["", "bytes", "bytes 100000", "bytes 100000-", "bytes x-y/z", "bytes 100000-300000"]
RANGES += ["items 100000-300000/300001", "bytes 100001-300000/300001", "bytes 300000-100000/300001"]
RANGES += ["bytes 100000-300001/300001", "bytes */300001", "bytes -100000-300000/300001", None]


@pytest.mark.parametrize("span", RANGES, ids=str)
@pytest.mark.parametrize("begun", [True, False], ids=["begun", "new"])
def test_a_malformed_or_other_range_costs_none_of_the_bytes_that_had_come(
    server, fetch, tmp_path, span, begun
):
    headers = {} if span is None else {"Content_Range": span}

    def malformed(handler: Handler, content: bytes, start: int) -> None:
        handler.answer(206, bytes(len(content) - start), **headers)

    server.orders[BIG] = [*([cut_after(100_000)] * begun), malformed, malformed]
    fetch()
    assert_whole(tmp_path / "pcam")
    assert server.ranges() == [None, *["bytes=100000-"] * 3] if begun else [None] * 3


def test_a_range_of_unknown_length_is_taken(server, fetch, tmp_path):
    def unknown(handler: Handler, content: bytes, start: int) -> None:
        span = f"bytes {start}-{len(content) - 1}/*"
        handler.answer(206, content[start:], Content_Range=span)

    server.orders[BIG] = [cut_after(100_000), unknown]
    fetch()
    assert_whole(tmp_path / "pcam")


def test_a_range_that_ends_early_is_continued(server, fetch, tmp_path):
    def short(handler: Handler, content: bytes, start: int) -> None:
        end = start + 50_000
        span = f"bytes {start}-{end - 1}/{len(content)}"
        handler.answer(206, content[start:end], Content_Range=span)

    server.orders[BIG] = [cut_after(100_000), short, short]
    fetch()
    assert_whole(tmp_path / "pcam")
    assert server.ranges() == [None, "bytes=100000-", "bytes=150000-", "bytes=200000-"]


@pytest.mark.parametrize("code", [201, 202, 203, 204, 205])
def test_an_answer_that_is_not_the_file_is_an_error_that_keeps_what_had_come(
    server, fetch, tmp_path, code
):
    part_of(tmp_path, b"x" * 1000)
    server.orders[BIG] = [lambda handler, *_: handler.answer(code, b"")]
    with pytest.raises(OSError, match=f"answers {code}, not the file"):
        fetch()
    assert (tmp_path / "pcam" / f"{BIG}.part").read_bytes() == b"x" * 1000


@pytest.mark.parametrize("length", ["", "bytes */*", "bytes */900000", "nonsense"])
def test_a_wrong_refusal_of_a_range_costs_nothing(server, fetch, tmp_path, length):
    server.orders[BIG] = [cut_after(100_000), *[status(416, Content_Range=length)] * 2]
    fetch()
    assert_whole(tmp_path / "pcam")
    assert server.ranges() == [None, *["bytes=100000-"] * 3]


def test_a_server_that_always_refuses_the_rest_is_given_up_and_the_bytes_stay(
    server, fetch, tmp_path
):
    server.orders[BIG] = [cut_after(100_000), *[status(416)] * 99]
    with pytest.raises(OSError, match=r"answers 416 .*100,000 bytes are kept.*or delete it"):
        fetch()
    assert (tmp_path / "pcam" / f"{BIG}.part").stat().st_size == 100_000


def test_a_part_that_is_whole_is_taken_if_the_refusal_tells_no_length(server, fetch, tmp_path):
    part_of(tmp_path, FILES[BIG])
    server.orders[BIG] = [status(416)]
    fetch()
    assert_whole(tmp_path / "pcam")
    assert len(server.ranges()) == 1


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_larger_than_any_official_file_is_an_error(
    server, fetch, tmp_path, monkeypatch, announced
):
    monkeypatch.setitem(_fetch._LARGEST, "x.h5.gz", 200_000)
    server.orders[BIG] = [whole if announced else without_length] * 9
    with pytest.raises(OSError, match=r"more than 200,000 bytes.*not the official file"):
        fetch()
    assert len(server.ranges()) == 1
    part = tmp_path / "pcam" / f"{BIG}.part"
    assert not announced or not part.exists()


def test_a_body_without_end_is_left_at_the_largest_size(server, fetch, monkeypatch, tmp_path):
    def endless(handler: Handler, content: bytes, start: int) -> None:
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(bytes(50_000))

    monkeypatch.setitem(_fetch._LARGEST, "x.h5.gz", 1_000_000)
    server.orders[BIG] = [endless]
    with pytest.raises(OSError, match="more than 1,000,000 bytes"):
        fetch()
    assert (tmp_path / "pcam" / f"{BIG}.part").stat().st_size < 3_000_000


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe"])
def test_a_part_that_is_no_ordinary_file_is_refused(server, fetch, tmp_path, kind):
    part_of(tmp_path, b"")
    part, other = tmp_path / "pcam" / f"{BIG}.part", tmp_path / "precious"
    part.unlink()
    if kind == "folder":
        part.mkdir()
    elif kind == "pipe":
        os.mkfifo(part)
    else:
        part.symlink_to(other)
    if kind == "link":
        other.write_text("precious")
    with pytest.raises(OSError, match=r"\.part is a link or no ordinary file; delete it"):
        fetch()
    assert other.exists() == (kind == "link")
    assert kind != "link" or other.read_text() == "precious"
    assert server.requests == []


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:1/a", "file:///etc/passwd", "data:,a", "FTP://h"])
def test_a_redirect_out_of_the_web_is_refused_at_once(server, fetch, url):
    server.orders[BIG] = [status(302, Location=url)]
    with pytest.raises(OSError, match=r"answers 302.*check the address"):
        fetch()
    assert len(server.requests) == 1


def test_a_redirect_within_the_web_is_followed_with_its_range(server, fetch, tmp_path):
    part_of(tmp_path, FILES[BIG][:1000])
    server.orders[BIG] = [status(302, Location=f"/elsewhere/{BIG}")]
    fetch()
    assert_whole(tmp_path / "pcam")
    assert server.ranges() == ["bytes=1000-", "bytes=1000-"]


def test_a_second_call_for_the_same_file_is_refused_and_the_first_ends_well(
    server, fetch, tmp_path
):
    def call_again() -> None:
        if not refused:
            refused.append(None)
            with pytest.raises(BlockingIOError, match="another process is writing"):
                fetch()
            refused.append("refused")

    refused: list[str | None] = []
    server.at_each_request = call_again
    server.orders[BIG] = [cut_after(100_000)]
    fetch()
    assert refused == [None, "refused"]
    assert_whole(tmp_path / "pcam")


def test_a_file_that_another_process_brought_meanwhile_is_not_downloaded_again(
    server, fetch, tmp_path, monkeypatch
):
    @contextlib.contextmanager
    def others_finish(final, **options):
        final.write_bytes(FILES[final.name])
        with workspace(final, **options) as work:
            yield work

    workspace = _fetch.workspace
    monkeypatch.setattr(_fetch, "workspace", others_finish)
    fetch()
    assert server.requests == []
    assert_whole(tmp_path / "pcam")


def test_a_folder_in_place_of_a_file_is_an_error_before_any_request(server, fetch, tmp_path):
    (tmp_path / "pcam" / BIG).mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match=r"x\.h5\.gz is a folder"):
        fetch()
    assert server.requests == []


def test_a_file_that_is_replaced_keeps_its_permissions(fetch, tmp_path):
    fetch()
    (tmp_path / "pcam" / BIG).write_bytes(b"damaged")
    (tmp_path / "pcam" / BIG).chmod(0o600)
    with pytest.warns(UserWarning, match="wrong MD5"):
        fetch()
    assert (tmp_path / "pcam" / BIG).stat().st_mode & 0o777 == 0o600


def test_a_file_of_unannounced_length_is_taken(server, fetch, tmp_path):
    server.orders[BIG] = [cut_without_length, without_length]
    fetch()
    assert_whole(tmp_path / "pcam")


def test_wrong_bytes_are_thrown_away_and_the_file_asked_for_once_more(server, fetch, tmp_path):
    server.orders[BIG] = [wrong_bytes]
    fetch()
    assert_whole(tmp_path / "pcam")
    assert server.ranges() == [None, None]


def test_bytes_that_are_wrong_twice_are_an_error_and_nothing_is_left(server, fetch, tmp_path):
    server.orders[BIG] = [wrong_bytes] * 9
    with pytest.raises(OSError, match=f"instead of {MD5[BIG]}.*another base_url"):
        fetch()
    assert server.ranges() == [None, None]
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_another_file_is_found_out_and_replaced(server, fetch, tmp_path):
    part_of(tmp_path, b"x" * 1000)
    fetch()
    assert_whole(tmp_path / "pcam")
    assert server.ranges() == ["bytes=1000-", None]


def test_a_part_that_is_already_whole_is_taken(server, fetch, tmp_path):
    part_of(tmp_path, FILES[BIG])
    fetch()
    assert_whole(tmp_path / "pcam")
    assert server.ranges() == [f"bytes={len(FILES[BIG])}-"]


def test_a_part_that_is_too_long_is_thrown_away(server, fetch, tmp_path):
    part_of(tmp_path, FILES[BIG] + b"more")
    fetch()
    assert_whole(tmp_path / "pcam")


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_an_answer_that_may_pass_is_waited_out_with_growing_patience(server, fetch, waits, code):
    server.orders[BIG] = [status(code)] * 4
    fetch(backoff=0.5)
    assert waits == [0.5, 1, 2, 4]


@pytest.mark.parametrize("code", [429, 503])
def test_the_server_is_given_the_seconds_that_it_asks_for(server, fetch, tmp_path, waits, code):
    server.orders[BIG] = [status(code, Retry_After="7"), status(code, Retry_After="0")]
    fetch()
    assert waits == [7, 0]
    assert_whole(tmp_path / "pcam")


def test_the_server_may_give_a_date(server, fetch, waits):
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    server.orders[BIG] = [status(429, Retry_After=date)]
    fetch()
    assert waits == [pytest.approx(100, abs=3)]


def test_an_unreadable_wait_is_ignored(server, fetch, waits):
    server.orders[BIG] = [status(429, Retry_After="soon")]
    fetch()
    assert waits == [1]


def test_a_server_that_wants_an_hour_is_an_error_that_says_so(server, fetch, waits):
    server.orders[BIG] = [status(429, Retry_After="3600")]
    with pytest.raises(OSError, match="asks to wait 3,600 s"):
        fetch()
    assert waits == []


def test_a_server_that_stays_busy_is_given_up_after_the_retries(server, fetch, tmp_path):
    server.orders[BIG] = [status(503)] * 99
    with pytest.raises(OSError, match=r"answers 503 .*4 times in a row"):
        fetch(retries=3)
    assert len(server.requests) == 4
    assert list(tmp_path.iterdir()) == []


def test_a_transfer_that_brought_much_before_it_broke_is_no_failure(server, fetch, monkeypatch):
    monkeypatch.setattr(_download, "_ENOUGH_NEW_BYTES", 50_000)
    server.orders[BIG] = [cut_after(60_000)] * 4
    fetch(retries=0)
    assert len(server.ranges()) == 5


def test_a_server_that_only_ever_sends_the_beginning_is_given_up(server, fetch, monkeypatch):
    monkeypatch.setattr(_download, "_ENOUGH_NEW_BYTES", 50_000)
    server.orders[BIG] = [cut_from_the_beginning] * 50
    with pytest.raises(OSError, match="4 times in a row"):
        fetch(retries=3)
    assert len(server.ranges()) == 5


def test_a_progress_bar_tells_why_it_waits(server, fetch, capsys):
    server.orders[BIG] = [status(503, Retry_After="7")]
    fetch(progress=True)
    assert "the server answers 503 Service Unavailable; next try in 7 s" in capsys.readouterr().err


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_file_that_the_server_will_not_give_is_an_error_at_once(server, fetch, code):
    server.orders[BIG] = [status(code)]
    with pytest.raises(OSError, match=f"answers {code}.*base_url"):
        fetch()
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_an_error_that_names_the_address(fetch):
    with pytest.raises(OSError, match=r"http://127\.0\.0\.1:9/.*no connection"):
        fetch(base_url="http://127.0.0.1:9/", retries=1)


def test_verified_files_are_not_downloaded_again(server, fetch):
    fetch()
    server.requests.clear()
    assert len(fetch()) == 3
    assert server.requests == []


def test_a_damaged_file_is_replaced_with_a_warning(server, fetch, tmp_path):
    fetch()
    (tmp_path / "pcam" / BIG).write_bytes(b"damaged")
    with pytest.warns(UserWarning, match=r"x\.h5\.gz has a wrong MD5"):
        fetch()
    assert_whole(tmp_path / "pcam")


def test_a_damaged_file_stays_until_the_right_one_has_come(server, fetch, tmp_path):
    fetch()
    (tmp_path / "pcam" / BIG).write_bytes(b"damaged")
    server.orders[BIG] = [status(404)]
    with pytest.warns(UserWarning, match="wrong MD5"), pytest.raises(OSError, match="404"):
        fetch()
    assert (tmp_path / "pcam" / BIG).read_bytes() == b"damaged"


def test_a_file_has_its_final_name_only_once_it_is_whole(server, fetch, tmp_path):
    def look() -> None:
        for path in (tmp_path / "pcam").iterdir():
            # The folder that holds the lock has a name of its own as well.
            assert path.suffix in (".part", ".partial") or path.read_bytes() == FILES[path.name]
            looked.append(path)

    looked: list[Path] = []
    server.at_each_request = look
    server.orders = {name: [cut_after(3), wrong_bytes] for name in FILES}
    fetch()
    assert len(looked) > 6


def test_a_full_disk_is_an_error_before_anything_is_written(fetch, tmp_path, monkeypatch):
    usage = _download.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(_download.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(OSError, match=r"needs another 300,001 bytes .* has 1,000 left"):
        fetch()
    assert list(tmp_path.iterdir()) == []


def test_a_base_url_without_a_place_for_the_name_has_it_appended(server, fetch, tmp_path):
    fetch(base_url=f"http://127.0.0.1:{server.server_port}/mirror")
    assert_whole(tmp_path / "pcam")


def test_the_progress_bar_counts_bytes(fetch, capsys):
    fetch(progress=True)
    assert "300k/300k" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"splits": "valid"}, r"type \('valid',\)"),
        ({"splits": ("val",)}, "'train', 'valid', 'test'; got 'val'"),
        ({"base_url": "ftp://host/"}, "http:// or https://; got 'ftp://host/'"),
        ({"retries": -1}, "at least 0"),
        ({"timeout": 0}, "timeout more than 0"),
        ({"md5": {}}, "md5 has no entry for .*valid_x"),
    ],
    ids=["text", "split", "scheme", "retries", "timeout", "md5"],
)
def test_a_value_that_is_not_allowed_is_an_error_before_any_request(
    server, fetch, options, message
):
    with pytest.raises(ValueError, match=message):
        fetch(**options)
    assert server.requests == []


def test_the_default_address_is_that_of_the_archive(monkeypatch, tmp_path):
    asked = []

    def stop(request, *, timeout):
        asked.append(request.full_url)
        raise KeyboardInterrupt

    monkeypatch.setattr(_download._WEB, "open", stop)
    with pytest.raises(KeyboardInterrupt):
        fetch_pcam(tmp_path, splits=("valid",))
    assert asked == [f"https://zenodo.org/records/2546921/files/{BIG}?download=1"]
    assert os.listdir(tmp_path) == []
