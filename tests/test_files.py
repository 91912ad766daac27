from __future__ import annotations

import json
import os
import threading

import pytest

from detector.batch import Failure
from detector.files import whole_file


def test_a_file_name_that_is_not_utf8_can_be_reported(tmp_path):
    failure = Failure(os.fsdecode(b"caf\xe9.txt"), None, "no such file")
    with whole_file(tmp_path / "errors.jsonl") as file:
        file.write(failure.as_json())
    assert json.loads((tmp_path / "errors.jsonl").read_text(encoding="utf-8"))["file"] == "caf\udce9.txt"


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "out.txt"

    def interrupted():
        with whole_file(target) as file:
            file.write("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with whole_file(target) as file:
        file.write("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]
    assert target.read_text() == "whole"


def test_a_link_is_written_through(tmp_path):
    target, link = tmp_path / "folder" / "out.txt", tmp_path / "link.txt"
    target.parent.mkdir()
    link.symlink_to(target)
    with whole_file(link) as file:
        file.write("whole")
    assert link.is_symlink()
    assert target.read_text() == "whole"


def test_a_pipe_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read_there: list[str] = []
    reader = threading.Thread(target=lambda: read_there.append(pipe.read_text()), daemon=True)
    reader.start()
    with whole_file(pipe) as file:
        file.write("whole")
    assert pipe.is_fifo()
    reader.join(timeout=10)
    assert read_there == ["whole"]


def test_nobody_elses_files_are_touched(tmp_path):
    (tmp_path / "out.txt.partial").write_text("mine")
    target = tmp_path / "out.txt"
    with whole_file(target) as first, whole_file(target) as second:
        first.write("first")
        second.write("second")
    assert target.read_text() == "first"
    assert (tmp_path / "out.txt.partial").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_text_that_utf8_cannot_hold_is_written_escaped(tmp_path):
    with whole_file(tmp_path / "out.txt") as file:
        file.write("\ud83d")
    assert (tmp_path / "out.txt").read_bytes() == rb"\ud83d"
