"""Many inputs to one output: labelled by every core, in order, in bounded memory, and gone on with after a crash.

``inputs`` finds the files, ``chunks`` cuts them, ``work`` turns a chunk into output, ``engine`` has that done, by a
``pool`` of workers if there is much to do, ``outputs`` writes it so that nothing is lost, ``report`` tells people. What
cannot be read goes into the error lane with its reason and costs nothing else.

Two choices carry the rest. Where chunks end depends on the inputs alone, and a chunk's output on the chunk alone, so
the output is the same to the byte for any number of workers and interruptions. And the process that reads only cuts
bytes apart and moves them: parsing, labelling, encoding and compressing are the workers' part, so that it does not
become what all of them wait for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from detector import __version__
from detector.batch.chunks import Reading, chunks_of
from detector.batch.engine import cores, run
from detector.batch.inputs import SUFFIXES, Input, at_most_one_page, find, fingerprint
from detector.batch.outputs import FileLane, Lane, OutputError, Outputs, StreamLane
from detector.batch.report import Json, Plain, Report
from detector.batch.tally import Failure, Tally, printable
from detector.batch.work import Job, Parser, WorkerError, Writing
from detector.detector import Detector
from detector.formats import Broken, Note
from detector.page import Page

__all__ = [
    "SUFFIXES",
    "Failure",
    "Job",
    "Json",
    "OutputError",
    "Plain",
    "Plan",
    "Reading",
    "Report",
    "Tally",
    "WorkerError",
    "Writing",
    "at_most_one_page",
    "cores",
    "label_all",
    "pages_of",
]


@dataclass(frozen=True)
class Plan:
    """One run: what is read, what is done with it, where it goes (``output`` ``None``: to the stream that is given)."""

    paths: Sequence[str]
    job: Job
    output: Path | None = None
    errors: Path | None = None
    jobs: int = 1
    resume: bool = False
    overwrite: bool = False


def label_all(plan: Plan, report: Report, stream: IO[bytes]) -> Tally:
    """Label all inputs and write the output; ``stream`` is standard output, or what stands for it.

    Raises :class:`OutputError` for files that cannot be written as asked, ``OSError`` where writing fails,
    :class:`WorkerError` where a worker dies; what is done by then is kept for a run with ``resume``.
    """
    started = time.monotonic()
    inputs = _without_outputs(plan, find(plan.paths, report.note), report)
    detector = Detector.load(plan.job.model)
    outputs = _outputs(plan, inputs, detector, stream)
    outputs.begin(resume=plan.resume, overwrite=plan.overwrite)
    if outputs.ended_before:
        report.note(f"{plan.output} is whole: nothing to do; --overwrite labels anew")
        return Tally()
    if outputs.state.whole:
        return outputs.state.tally
    before = outputs.state.tally.pages
    try:
        tally = _through(plan, inputs, detector, outputs, report)
        outputs.finish()
    except BaseException:
        if outputs.give_up():
            report.note(f"what is done is kept: the same command with --resume goes on ({plan.output})")
        raise
    if outputs.state.in_vain and plan.output is not None:
        kept = "is as it was" if plan.output.exists() else "is not written"
        report.note(f"nothing could be labelled: {plan.output} {kept}")
    report.summary(tally, time.monotonic() - started, tally.pages - before)
    return tally


def _without_outputs(plan: Plan, inputs: list[Input | Failure], report: Report) -> list[Input | Failure]:
    """``inputs`` without what the run writes, where a folder or a glob brought that in."""
    written = {os.path.realpath(path) for path in (plan.output, plan.errors) if path is not None}
    kept: list[Input | Failure] = []
    for found in inputs:
        if isinstance(found, Input) and found.path not in plan.paths and os.path.realpath(found.path) in written:
            report.note(f"{printable(found.path)}: not read, for it is written")
        else:
            kept.append(found)
    return kept


def _through(
    plan: Plan, inputs: Sequence[Input | Failure], detector: Detector, outputs: Outputs, report: Report
) -> Tally:
    tally, start = outputs.state.tally, outputs.state.position
    sizes = [found.size for found in inputs if isinstance(found, Input)]
    total = sum(size for size in sizes if size is not None) if None not in sizes else None
    cut = chunks_of(inputs, plan.job.reading, start, sites=plan.job.site_memory)
    for done in run(plan.job, detector, cut, plan.jobs, resumed=start.files > 0 or start.pieces > 0):
        outputs.write("output", done.output)
        for failure in done.failures:
            outputs.write("errors", failure.as_json().encode())
            report.failure(failure)
        for note in done.notes:
            report.note(note)
        tally.merge(done.tally)
        tally.bytes = done.consumed
        outputs.commit(done.end, tally)
        report.progress(tally, total)
    return tally


def _outputs(plan: Plan, inputs: Sequence[Input | Failure], detector: Detector, stream: IO[bytes]) -> Outputs:
    is_file = plan.output is not None and _is_file(plan.output)
    if plan.resume and not is_file:
        raise OutputError("--resume goes on with a file: name it with -o")
    lanes = {"output": StreamLane(stream, owned=False) if plan.output is None else _lane(plan, plan.output, is_file)}
    if plan.errors is not None:
        lanes["errors"] = _lane(plan, plan.errors, is_file)
    output = lanes["output"]
    journal = output.target.with_name(f".{output.target.name}.journal") if isinstance(output, FileLane) else None
    return Outputs(lanes, _what(plan, inputs, detector) if journal else {}, journal)


def _is_file(path: Path) -> bool:
    return path.is_file() or not path.exists()


def _lane(plan: Plan, path: Path, journal: bool) -> Lane:
    if path.is_dir():
        raise OutputError(f"{path} is a folder: name a file, as in {path / 'labels.jsonl'}")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}; make it first")
    if not _is_file(path):
        return StreamLane.at(path)
    if path == plan.output and plan.job.writing.output_format == "parquet":
        from detector.formats.parquet import join

        return FileLane(path, join, journal=journal)
    return FileLane(path, journal=journal)


def _what(plan: Plan, inputs: Sequence[Input | Failure], detector: Detector) -> Mapping[str, Any]:
    """What must be the same for a run to go on, by the names that people know."""
    reading, writing = plan.job.reading, plan.job.writing
    keep = writing.keep
    return {
        "inputs": fingerprint(inputs),
        "model": detector.model.name,
        "release": __version__,
        "command": "clean" if keep else "label",
        "--input-format": reading.input_format,
        "--output-format": writing.output_format,
        "--text-field": reading.names.text,
        "--html-field": reading.names.html,
        "--id-field": reading.names.id,
        "--url-field": reading.names.url,
        "--max-page-bytes": reading.limit,
        "--keep": ", ".join(keep.labels) if keep else None,
        "--recall or --precision": keep and keep.preset,
        "--min-confidence": keep and keep.min_confidence,
        "--site-memory": plan.job.site_memory,
        "--errors": plan.errors and str(plan.errors.absolute()),
        "compression": writing.suffix,
        "terminal": writing.width or None,
    }


def pages_of(path: str, report: Report) -> list[Page]:
    """The pages of one file, not labelled yet; what cannot be read is told to ``report``."""
    reading = Reading()
    parser = Parser(reading)
    pages: list[Page] = []
    for chunk in chunks_of(find([path], report.note), reading):
        for name, part in chunk.parts:
            for item in parser.items(name, part):
                if isinstance(item, Page):
                    pages.append(item)
                elif isinstance(item, Broken):
                    report.failure(Failure(name, item.number, item.reason))
                elif isinstance(item, Note):
                    report.note(f"{name}: {item.message}")
    return pages
