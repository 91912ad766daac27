"""The command line: parses, calls, prints."""

from __future__ import annotations

import inspect
import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, NoReturn, get_type_hints

import typer
from typer.core import TyperGroup

from detector import __version__, batch
from detector.batch import Job, Plan, Reading, Writing, at_most_one_page
from detector.detector import Detector, Preset
from detector.extras import MissingExtraError
from detector.files import whole_file
from detector.formats import MAX_PAGE_BYTES, Fields
from detector.formats.compression import codec_of, stem
from detector.keep import Keep
from detector.labels import Label
from detector.model import ModelError
from detector.page import Page

if TYPE_CHECKING:
    from rich.console import Console


class _Commands(TyperGroup):
    """All commands. Typer takes a reader that goes away (``| head``) for a failure; here it ends the run quietly."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  Typer's context is click's or its own, by version.
        try:
            try:
                return super().invoke(ctx)
            finally:
                if sys.stdout:
                    sys.stdout.flush()
        except BrokenPipeError:
            # What is still buffered goes nowhere, or Python would complain at its own exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Label every paragraph of a scraped page: editorial, promo, related-links or boilerplate.",
    epilog="Exit codes: 0 all went well, 1 something could not be read, 2 wrong usage, 130 interrupted, 143 terminated."
    " Where nothing could be labelled, no output is written, or it stays as it was.",
)


class InputFormat(StrEnum):
    """Formats that are read; ``auto`` goes by the file's suffix, and tells HTML by its first bytes."""

    AUTO = "auto"
    TEXT = "text"
    HTML = "html"
    JSONL = "jsonl"
    PARQUET = "parquet"
    WARC = "warc"
    WET = "wet"


class LabelOutput(StrEnum):
    """Formats that ``label`` writes; ``auto`` goes by the output's suffix; a table on a terminal, else JSON Lines."""

    AUTO = "auto"
    TABLE = "table"
    JSONL = "jsonl"
    PARQUET = "parquet"
    TSV = "tsv"
    DOLMA = "dolma"


class CleanOutput(StrEnum):
    """Formats that ``clean`` writes; ``auto`` goes by the output's suffix; text for one file, else JSON Lines."""

    AUTO = "auto"
    TEXT = "text"
    MARKDOWN = "markdown"
    JSONL = "jsonl"
    PARQUET = "parquet"


Paths = Annotated[
    list[str],
    typer.Argument(
        help="Files, folders, globs, s3:// and other addresses, or - for standard input.", metavar="PATH..."
    ),
]
Out = Annotated[Path | None, typer.Option("-o", "--output", help="Write here instead of to standard output.")]
ModelFolder = Annotated[Path | None, typer.Option("--model", help="Model folder; the bundled model if none is named.")]
KeepLabels = Annotated[list[Label] | None, typer.Option("--keep", help="Label to keep, repeatable; editorial if none.")]
MinConfidence = Annotated[
    float | None,
    typer.Option("--min-confidence", min=0, max=1, help="Keep what bears the labels kept with this probability."),
]
Recall = Annotated[bool, typer.Option("--recall", help="Lose as little as possible: keep what may be editorial.")]
Precision = Annotated[bool, typer.Option("--precision", help="Let as little junk through as possible.")]
OnePage = Annotated[str, typer.Argument(metavar="PAGE", help="A file of text or HTML, or -.")]


_RECORD_SUFFIXES = {".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_LABEL_SUFFIXES = _RECORD_SUFFIXES | {".tsv": "tsv"}
_OTHERS = frozenset(
    (".arrow", ".csv", ".htm", ".html", ".md", ".svg", ".tsv", ".txt", ".warc", ".wet", ".xlsx", ".xml")
)
"""Suffixes of other formats than that which is written for want of a better."""
_MOST_JOBS = 512
"""Each has a chunk or two of the input waiting, and a model of its own."""
_CLEAN_SUFFIXES = _RECORD_SUFFIXES | {".txt": "text", ".md": "markdown"}


@dataclass(frozen=True)
class Corpus:
    """Options of every command that goes through a corpus."""

    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Write here, whole or not at all, instead of to standard output; .gz, .zst, .bz2, .xz compress.",
        ),
    ] = None
    input_format: Annotated[
        InputFormat, typer.Option("--input-format", help="auto goes by suffix, and tells HTML by its first bytes.")
    ] = InputFormat.AUTO
    text_field: Annotated[str, typer.Option("--text-field", help="Records: the field with the text.")] = "text"
    html_field: Annotated[
        str | None, typer.Option("--html-field", help="Records: the field with HTML, to be read instead of a text.")
    ] = None
    id_field: Annotated[str, typer.Option("--id-field", help="Records: the field with the id.")] = "id"
    url_field: Annotated[str, typer.Option("--url-field", help="Records: the field with the URL.")] = "url"
    model: ModelFolder = None
    errors: Annotated[
        Path | None, typer.Option("--errors", help="Write failures here: JSON Lines of file, record, reason.")
    ] = None
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=0, max=_MOST_JOBS, help="Worker processes; 0: one for each core.")
    ] = 0
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run that was interrupted; nothing is done if it had ended.")
    ] = False
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that are there.")] = False
    max_page_bytes: Annotated[
        int, typer.Option("--max-page-bytes", min=1, help="Do not read a page that is longer, decompressed.")
    ] = MAX_PAGE_BYTES
    site_memory: Annotated[
        bool,
        typer.Option(
            "--site-memory",
            help="Pages of one host, by URL, tell about one another, 16 MB of input at a time: sort more by host.",
        ),
    ] = False
    json_log: Annotated[bool, typer.Option("--json-log", help="Say all on standard error as JSON Lines.")] = False

    def run(self, paths: list[str], output_format: str, keep: Keep | None) -> None:
        """Go through ``paths``; exits with 1 if anything failed."""
        report = batch.Json() if self.json_log else batch.Plain(bar=bool(self.output), always=bool(self.output))
        job = Job(self.model, self._reading(output_format), self._writing(output_format, keep), self.site_memory)
        jobs = self.jobs or batch.cores()
        plan = Plan(paths, job, self.output, self.errors, jobs, self.resume, self.overwrite)
        if sys.stdout is None and self.output is None:
            raise typer.BadParameter("standard output is closed: name a file with -o")
        with report.running() if isinstance(report, batch.Plain) else nullcontext(), _terminable():
            tally = batch.label_all(plan, report, sys.stdout.buffer if sys.stdout else io.BytesIO())
        if tally.failed:
            raise typer.Exit(1)

    def auto(self, suffixes: Mapping[str, str], otherwise: str) -> str:
        """The output's format by its suffix, ``otherwise`` where that says nothing."""
        suffix = Path(stem(str(self.output or ""))).suffix.lower()
        if suffix in _OTHERS and suffix not in suffixes:
            raise typer.BadParameter(
                f"{self.output} would hold none of what its name says: name {', '.join(suffixes)}, or --output-format"
            )
        return suffixes.get(suffix, otherwise)

    def _reading(self, output_format: str) -> Reading:
        rest = output_format in ("jsonl", "parquet")
        names = Fields(self.text_field, self.id_field, self.url_field, self.html_field, rest)
        return Reading(self.input_format.value, names, self.max_page_bytes, markdown=output_format == "markdown")

    def _writing(self, output_format: str, keep: Keep | None) -> Writing:
        self._check(output_format)
        colour = output_format == "table" and self.output is None and _on_terminal()
        width = shutil.get_terminal_size().columns if output_format == "table" else 0
        codec = codec_of(str(self.output or ""))
        return Writing(output_format, keep, codec.suffix if codec else "", width, colour)

    def _check(self, output_format: str) -> None:
        if self.resume and self.overwrite:
            raise typer.BadParameter("--resume goes on and --overwrite begins anew: give one")
        output = str(self.output or "")
        if self.output and self.errors and self.output.resolve() == self.errors.resolve():
            raise typer.BadParameter("--output and --errors must be two files")
        if ":/" in output:  # Path makes one slash of two.
            raise typer.BadParameter(f"{output} is remote: write a file here, then copy it")
        if output_format == "parquet" and (not output or codec_of(output)):
            raise typer.BadParameter("Parquet is a file, compressed inside: name it with -o, as in -o labels.parquet")
        if output_format == "dolma" and self.html_field:
            raise typer.BadParameter("Dolma attributes are spans of the documents' text: leave out --html-field")


def _on_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends what is done here in order, as the key that interrupts does; its exit code is the shell's for it."""

    def end(number: int, frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _with_corpus(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` with the fields of :class:`Corpus` as options after its own, handed on as its last argument."""
    hints = get_type_hints(Corpus, include_extras=True)
    own = [*inspect.signature(command, eval_str=True).parameters.values()][:-1]
    shared = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(Corpus)
    ]
    names = [parameter.name for parameter in shared]

    @wraps(command)
    def wrapped(**options: Any) -> None:  # noqa: ANN401  Each option has its own type.
        command(corpus=Corpus(**{name: options.pop(name) for name in names}), **options)

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + shared
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapped


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(
    "label",
    epilog="Examples:  detector label page.txt   |   detector label pages/ -o labels.jsonl"
    "   |   cat page.txt | detector label -"
    "   |   detector label crawl/*.warc.gz -o labels.parquet --errors failed.jsonl"
    "   |   detector label dump.jsonl.zst -o labels.jsonl.zst --resume",
)
@_with_corpus
def label_command(
    paths: Paths,
    output_format: Annotated[
        LabelOutput,
        typer.Option("--output-format", help="auto: by suffix; else a table on a terminal, JSON Lines elsewhere."),
    ] = LabelOutput.AUTO,
    *,
    corpus: Corpus,
) -> None:
    """Label every paragraph of every page."""
    if output_format is LabelOutput.AUTO:
        on_terminal = corpus.output is None and _on_terminal()
        output_format = LabelOutput(corpus.auto(_LABEL_SUFFIXES, "table" if on_terminal else "jsonl"))
    if output_format is LabelOutput.DOLMA and (len(paths) != 1 or at_most_one_page(paths, corpus.input_format)):
        raise typer.BadParameter("Dolma attributes stand beside the documents of one file: name one JSON Lines file")
    corpus.run(paths, output_format.value, None)


@app.command(
    "clean",
    epilog="Examples:  detector clean page.txt   |   detector clean pages.jsonl -o clean.jsonl --recall"
    "   |   detector clean page.html --output-format markdown"
    "   |   detector clean wet/*.wet.gz -o clean.parquet",
)
@_with_corpus
def clean_command(
    paths: Paths,
    keep: KeepLabels = None,
    min_confidence: MinConfidence = None,
    recall: Recall = False,
    precision: Precision = False,
    output_format: Annotated[
        CleanOutput,
        typer.Option(
            "--output-format",
            help="auto: by suffix; else text for one file, JSON Lines for more pages; markdown: one page's, from HTML.",
        ),
    ] = CleanOutput.AUTO,
    *,
    corpus: Corpus,
) -> None:
    """Write the same pages with only what is kept."""
    labels = keep or [Label.EDITORIAL]
    preset = _preset(labels, min_confidence, recall, precision)
    single = at_most_one_page(paths, corpus.input_format)
    if output_format is CleanOutput.AUTO:
        output_format = CleanOutput(corpus.auto(_CLEAN_SUFFIXES, "text" if single else "jsonl"))
    if output_format in (CleanOutput.TEXT, CleanOutput.MARKDOWN) and not single:
        raise typer.BadParameter(
            f"{output_format} output holds one page, without a mark where the next would begin: use jsonl"
        )
    corpus.run(paths, output_format.value, Keep(tuple(labels), preset, min_confidence))


def _preset(labels: list[Label], min_confidence: float | None, recall: bool, precision: bool) -> Preset | None:
    if recall + precision + (min_confidence is not None) > 1:
        raise typer.BadParameter("--recall, --precision and --min-confidence exclude one another: give one")
    if not recall and not precision:
        return None
    if set(labels) != {Label.EDITORIAL}:
        raise typer.BadParameter("--recall and --precision are thresholds for editorial: use --min-confidence")
    return Preset.RECALL if recall else Preset.PRECISION


@app.command("explain", epilog="Example:  detector explain page.txt")
def explain_command(path: OnePage, model: ModelFolder = None) -> None:
    """Say why each paragraph got its label: n-grams, shape, neighbours."""
    from detector.view import print_page

    for detector, page in _single(path, model):
        print_page(_console(sys.stdout), page, detector.explain_page(page))


@app.command("view", epilog="Examples:  detector view page.txt   |   detector view page.txt -o page.html")
def view_command(path: OnePage, output: Out = None, model: ModelFolder = None) -> None:
    """Show a page in colour: in the terminal, as one HTML file with reasons, or as an SVG picture, by suffix."""
    from detector.view import page_html, page_svg, print_page

    suffix = output.suffix.lower() if output else ""
    if output and suffix not in (".html", ".htm", ".svg"):
        raise typer.BadParameter(f"{output} is neither .html nor .svg: name one of these with -o")
    for detector, page in _single(path, model):
        if output is None:
            print_page(_console(sys.stdout), page)
            continue
        with whole_file(output) as file:
            if suffix == ".svg":
                file.write(page_svg(page))
            else:
                file.write(page_html(page, detector.explain_page(page)))


@app.command(
    "serve",
    epilog="Examples:  detector serve   |   detector serve --host 0.0.0.0 --token-file token.txt --workers 4",
)
def serve_command(
    host: Annotated[str, typer.Option("--host", help="Address to listen on; others than this machine's: 0.0.0.0.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 for a free one.")] = 8000,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes that label; one a core if none is given.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="File with the bearer token to ask for; else $DETECTOR_TOKEN.")
    ] = None,
    max_body: Annotated[float, typer.Option("--max-body", min=0.001, help="Megabytes a body may have.")] = 10,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds for a body to arrive, and for its labels.")
    ] = 30,
    model: ModelFolder = None,
) -> None:
    """Serve labels over HTTP, with a page to try them at /."""
    try:
        from detector.serve.server import serve
        from detector.serve.settings import MEGABYTE, Limits, Settings
    except ModuleNotFoundError as error:
        raise typer.BadParameter(f"{error.name} is missing: pip install 'banner-detector[serve]'") from None
    limits = Limits(body=round(max_body * MEGABYTE), seconds=timeout)
    settings = Settings(host, port, workers or os.cpu_count() or 1, model, _token(token_file), limits)
    if not serve(settings, lambda message: typer.echo(f"detector: {message}", err=True)):
        raise typer.Exit(1)


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get("DETECTOR_TOKEN") or None
    token = file.read_text(encoding="utf-8").strip()
    if not token:
        raise typer.BadParameter(f"{file} is empty; write the token into it", param_hint="--token-file")
    return token


@app.command("info", epilog="Example:  detector info --model my-model/")
def info_command(model: ModelFolder = None) -> None:
    """Print the model's card: version, data, scores, size."""
    detector = Detector.load(model)
    typer.echo(json.dumps({"name": detector.model.name, **detector.model.card}, indent=2, ensure_ascii=False))


def _single(path: str, model: Path | None) -> Iterator[tuple[Detector, Page]]:
    """The one page of ``path``, labelled."""
    if not at_most_one_page([path], InputFormat.AUTO):
        raise typer.BadParameter(f"{path} is a folder, a glob or a file of records: name one page's file")
    detector = Detector.load(model)
    pages = batch.pages_of(path, batch.Plain(bar=False, always=False))
    if not pages:
        raise typer.Exit(1)
    yield from ((detector, page) for page in detector.label_pages(pages))


def _console(file: IO[str]) -> Console:
    from rich.console import Console

    return Console(file=file, highlight=False, soft_wrap=False)


def main() -> None:
    """Run the command line; what ends it is said in one line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A page's own line ends are written as they are, on Windows too.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    try:
        app(prog_name="detector")
    except (ModelError, batch.OutputError, batch.WorkerError, MissingExtraError) as error:
        _end(str(error))
    except OSError as error:
        _end(f"{error.filename or 'output'}: {error.strerror or error}")


def _end(message: str) -> NoReturn:
    if "--json-log" in sys.argv:
        batch.Json().error(message)
    else:
        typer.echo(f"detector: {message}", err=True)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
