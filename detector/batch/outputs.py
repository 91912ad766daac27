"""Files that a run writes: whole or not at all, and gone on with after any interruption.

``labels.jsonl`` grows as ``.labels.jsonl.partial``, and the error lane likewise. Beside it ``.labels.jsonl.journal``
says how far they are good: after each commit, which comes after they are on the disk, it holds their lengths, the
place in the inputs, and the counts. What lies behind those lengths when a run goes on is cut off and made again. When
all is written, the journal says so, and the files get their names. A journal also says what the run was (inputs,
options, model): a run goes on as what it was, or not at all. It stays when the run has ended, so that the same command
can be told from another one.

Where something failed and no page was labelled, no output gets its name: an empty one would look like success.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from detector.batch.chunks import Position
from detector.batch.tally import Tally
from detector.files import sync_folder, write_whole

_FORMAT, _VERSION = "the journal's format", 2
_SECONDS = 1.0
"""Between commits: what an interruption costs at most, but for a chunk."""


class OutputError(RuntimeError):
    """A file that cannot be written as asked; the message says what to do."""


@dataclass
class State:
    """How far a run is: the place in the inputs, the lengths of its files in bytes, the counts."""

    position: Position
    lengths: dict[str, int]
    tally: Tally
    whole: bool = False

    @property
    def in_vain(self) -> bool:
        """Whether all that was tried failed."""
        return self.tally.failed > 0 and self.tally.labelled == 0


class Lane(Protocol):
    """One of the things that a run writes."""

    length: int

    def create(self) -> None:
        """Begin it."""

    def go_on(self, length: int) -> None:
        """Go on after the first ``length`` bytes."""

    def write(self, data: bytes) -> None:
        """Add to it."""

    def sync(self) -> None:
        """Make sure that what was written is where it should be."""

    def finish(self, *, replace: bool) -> None:
        """It is whole."""

    def close(self) -> None:
        """Nothing more will be written by this process."""

    def remove(self) -> None:
        """Undo what was written, if that can be."""

    def is_taken(self) -> bool:
        """Whether something of its name is there already."""

    def is_growing(self) -> bool:
        """Whether there is what has not got its name yet."""


class StreamLane:
    """A pipe, a device, or standard output: what is written is gone."""

    def __init__(self, file: IO[bytes], *, owned: bool, name: str = "") -> None:
        self._file, self._owned, self._name = file, owned, name
        self.length = 0

    @classmethod
    def at(cls, path: Path) -> StreamLane:
        """The pipe or device at ``path``."""
        return cls(path.open("wb", buffering=0), owned=True, name=str(path))

    def create(self) -> None:
        """Nothing is to be done."""

    def go_on(self, length: int) -> None:
        """Go on where the run before this one was cut."""
        self.length = length

    def write(self, data: bytes) -> None:
        """Write at once: what is read at the other end may be waited for."""
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            error.filename = self._name or error.filename
            raise
        self.length += len(data)

    def sync(self) -> None:
        """Nothing is held back."""

    def finish(self, *, replace: bool) -> None:
        """Close it, if this run opened it."""
        self.close()

    def close(self) -> None:
        """Close it, if this run opened it."""
        if self._owned:
            self._file.close()

    def remove(self) -> None:
        """Close it: what is written is gone."""
        self.close()

    def is_taken(self) -> bool:
        """Never: it is there to be written to."""
        return False

    def is_growing(self) -> bool:
        """Never: what is written is gone."""
        return False


class FileLane:
    """A file that grows under a name of its own and gets its name when it is whole.

    ``join`` makes the file from what grew, where that is another format. A file of a run without a journal grows under
    a name that no other run has.
    """

    def __init__(self, target: Path, join: Callable[[Path, Path], None] | None = None, *, journal: bool = True) -> None:
        # Through a link, to what it names.
        self.target = Path(os.path.realpath(target))
        own = "" if journal else f".{secrets.token_hex(4)}"
        self.partial = self.target.with_name(f".{self.target.name}{own}.partial")
        self._join = join
        self._whole = self.target.with_name(f".{self.target.name}.whole")
        self._file: IO[bytes] | None = None
        self.length = 0

    def create(self) -> None:
        """Begin the file; raises :class:`OutputError` where one of its name is there."""
        try:
            with self._named():
                self._file = self.partial.open("xb")
        except FileExistsError:
            raise OutputError(f"{self.partial} is there, and no run of this tool's: move it away") from None
        _lock(self._file, self.target)

    def go_on(self, length: int) -> None:
        """Go on after the first ``length`` bytes; what lies behind them was not committed."""
        if not length and not self.partial.exists():
            self.create()
            return
        self._file = self.partial.open("r+b")
        _lock(self._file, self.target)
        if self._file.seek(0, os.SEEK_END) < length:
            raise OutputError(f"{self.partial} is shorter than its journal says: start anew with --overwrite")
        self._file.truncate(length)
        self._file.seek(length)
        self.length = length

    def write(self, data: bytes) -> None:
        """Add to the file."""
        assert self._file is not None
        with self._named():
            self._file.write(data)
        self.length += len(data)

    def sync(self) -> None:
        """Make sure that what was written is on the disk."""
        if self._file is not None:
            with self._named():
                self._file.flush()
                os.fsync(self._file.fileno())

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What is reported is the name that was asked for."""
        try:
            yield
        except OSError as error:
            error.filename = str(self.target)
            raise

    def finish(self, *, replace: bool) -> None:
        """Give the file its name; nothing is done if it has it already."""
        self.sync()
        self.close()
        whole = self._joined() if self._join else self.partial
        if not whole.exists():
            return
        if self.target.exists() and not replace:
            raise OutputError(f"{self.target} is there, and was not when the run began: move it away, then --resume")
        os.replace(whole, self.target)
        sync_folder(self.target.parent)

    def _joined(self) -> Path:
        """The whole file, made of what grew, which goes only when that is on the disk."""
        assert self._join is not None
        whole = self._whole
        if self.partial.exists():
            self._join(self.partial, whole)
            _sync(whole)
            sync_folder(whole.parent)
            self.partial.unlink()
        return whole

    def close(self) -> None:
        """Close the file, errors aside: what was not committed is of no worth."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def remove(self) -> None:
        """Close and remove the unfinished file."""
        self.close()
        self.partial.unlink(missing_ok=True)

    def is_taken(self) -> bool:
        """Whether a file of its name is there."""
        return self.target.exists()

    def is_growing(self) -> bool:
        """Whether there is a file that has not got its name yet."""
        return self.partial.exists() or (self._join is not None and self._whole.exists())


def _sync(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _lock(file: IO[bytes], target: Path) -> None:
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(f"another run is writing {target}: wait for it to end") from None
    except OSError:
        pass  # A file system without locks.


class Outputs:
    """What one run writes, by name, and its journal; ``run`` is what must be the same for a run to go on."""

    def __init__(self, lanes: Mapping[str, Lane], run: Mapping[str, Any], journal: Path | None) -> None:
        self._lanes, self._journal = lanes, journal
        self._run = {_FORMAT: _VERSION, **run}
        self._created: list[Lane] = []
        self._replace = False
        self._committed = 0.0
        self.ended_before = False
        """Whether the output was whole already when this run began."""
        self.state = State(Position(), dict.fromkeys(lanes, 0), Tally())

    def begin(self, *, resume: bool, overwrite: bool) -> None:
        """Create the files, or go on with those of the run that was interrupted.

        ``state.whole`` is true if there is nothing left to do. Raises :class:`OutputError` where files are there that
        this run may not replace, or cannot go on with.
        """
        journal = self._read_journal()
        growing = any(lane.is_growing() for lane in self._lanes.values())
        taken = self._lanes["output"].is_taken()
        if journal is not None and journal["whole"] and not growing and not _state(journal).in_vain:
            # It has ended. Where its output is gone since, there is nothing to be told of.
            self.ended_before = taken
            journal = journal if resume and taken else None
        if resume and journal is not None:
            self._go_on(journal)
        elif resume and taken:
            # Whoever made it left no journal.
            self.state.whole = self.ended_before = True
        else:
            self.ended_before = False
            self._begin_anew(journal, overwrite)

    def _begin_anew(self, journal: Mapping[str, Any] | None, overwrite: bool) -> None:
        if journal is not None and not overwrite:
            raise OutputError(
                f"{self._journal} is of a run that has not ended: go on with --resume, or start anew with --overwrite"
            )
        for lane in self._lanes.values():
            if lane.is_taken() and not overwrite:
                target = getattr(lane, "target", "")
                raise OutputError(f"{target} is there: --overwrite replaces it, or give another name")
        self._replace = overwrite
        if journal is not None:
            self._forget(list(self._lanes.values()))
        # The journal comes first: without one, a run that is killed now could not be told from someone's files.
        self._save()
        try:
            for lane in self._lanes.values():
                lane.create()
                self._created.append(lane)
        except BaseException:
            self._forget(self._created)
            raise

    def _go_on(self, journal: Mapping[str, Any]) -> None:
        self._check_same(journal["run"])
        self.state = _state(journal)
        self._replace = journal["replace"]
        self._created = list(self._lanes.values())
        if self.state.whole:
            self._name_all()
            return
        try:
            for name, lane in self._lanes.items():
                lane.go_on(self.state.lengths[name])
        except BaseException:
            for lane in self._created:
                lane.close()
            raise

    def _check_same(self, before: Mapping[str, Any]) -> None:
        """Raise :class:`OutputError` if this run is another one than that of ``before``."""
        names = [name for name in {**before, **self._run} if before.get(name) != self._run.get(name)]
        if not names:
            return
        if _FORMAT in names:
            names = [_FORMAT]
        changed = "; ".join(f"{name} was {_said(before.get(name))}, is {_said(self._run.get(name))}" for name in names)
        target = getattr(self._lanes["output"], "target", "")
        what = "is whole" if self.ended_before else "has not ended"
        raise OutputError(
            f"{target} {what}, and its run was another one ({changed}):"
            " give the same again, another output, or --overwrite to label anew"
        )

    def _read_journal(self) -> Mapping[str, Any] | None:
        if self._journal is None:
            return None
        try:
            journal = json.loads(self._journal.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            journal = None
        if not isinstance(journal, dict) or "run" not in journal:
            raise OutputError(f"{self._journal} is there, and no journal of this tool's: move it away")
        return journal

    def write(self, name: str, data: bytes) -> None:
        """Add to what has this name, if the run has it."""
        if name in self._lanes:
            self._lanes[name].write(data)

    def commit(self, position: Position, tally: Tally) -> None:
        """Note that all before ``position`` is done; once a second, that is made sure of."""
        self.state.position, self.state.tally = position, tally
        if time.monotonic() - self._committed >= _SECONDS:
            self._save()
            self._committed = time.monotonic()

    def _save(self) -> None:
        if self._journal is None:
            return
        for name, lane in self._lanes.items():
            lane.sync()
            self.state.lengths[name] = lane.length
        state = self.state
        journal = {
            "run": self._run,
            "replace": self._replace,
            "position": [state.position.files, state.position.pieces],
            "lengths": state.lengths,
            "tally": state.tally.as_dict(),
            "whole": state.whole,
        }
        try:
            write_whole(self._journal, json.dumps(journal).encode(), durable=True)
        except OSError as error:
            error.filename = str(getattr(self._lanes["output"], "target", error.filename))
            raise

    def finish(self) -> None:
        """Give all files their names."""
        self.state.whole = True
        self._save()
        self._name_all()

    def _name_all(self) -> None:
        for name, lane in reversed(list(self._lanes.items())):
            if name == "output" and self.state.in_vain:
                lane.remove()
            else:
                lane.finish(replace=self._replace)
        if self._journal is not None and self.state.in_vain:
            self._journal.unlink()
            sync_folder(self._journal.parent)

    def give_up(self) -> bool:
        """After an error: keep what a later run can go on with, if there is something; whether there is."""
        for lane in self._created:
            lane.close()
        journal = self._read_journal()
        if journal is not None and (journal["whole"] or any(journal["lengths"].values())):
            return True
        self._forget(self._created)
        return False

    def _forget(self, lanes: Sequence[Lane]) -> None:
        for lane in lanes:
            lane.remove()
        if self._journal is not None:
            self._journal.unlink(missing_ok=True)


def _state(journal: Mapping[str, Any]) -> State:
    position = Position(*journal["position"])
    return State(position, dict(journal["lengths"]), Tally.of(journal["tally"]), journal["whole"])


def _said(value: object) -> str:
    return "not given" if value is None else str(value)
