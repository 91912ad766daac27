"""The command line: parses, calls, prints."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from detector import __version__
from detector.batch import Failure, Tally, at_most_one_page, label, read, whole_file
from detector.detector import Detector, Preset
from detector.formats import jsonl
from detector.html import parse_html
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
    epilog="Exit codes: 0 all went well, 1 something could not be read, 2 wrong usage, 130 interrupted.",
)


class InputFormat(StrEnum):
    """Formats that are read; ``auto`` goes by the file's suffix, and tells HTML by its first bytes."""

    AUTO = "auto"
    TEXT = "text"
    HTML = "html"
    JSONL = "jsonl"


class LabelOutput(StrEnum):
    """Formats that ``label`` writes; ``auto`` is a table on a terminal, JSON Lines elsewhere."""

    AUTO = "auto"
    TABLE = "table"
    JSONL = "jsonl"
    TSV = "tsv"


class CleanOutput(StrEnum):
    """Formats that ``clean`` writes; ``auto`` is text for one file, JSON Lines where there may be more pages."""

    AUTO = "auto"
    TEXT = "text"
    MARKDOWN = "markdown"
    JSONL = "jsonl"


Paths = Annotated[list[str], typer.Argument(help="Files, folders, globs, or - for standard input.", metavar="PATH...")]
Out = Annotated[Path | None, typer.Option("-o", "--output", help="Write here instead of to standard output.")]
ModelFolder = Annotated[Path | None, typer.Option("--model", help="Model folder; the bundled model if none is named.")]
InFormat = Annotated[InputFormat, typer.Option("--input-format", help="auto goes by suffix and first bytes.")]
TextField = Annotated[str, typer.Option("--text-field", help="JSON Lines: the field with the text.")]
HtmlField = Annotated[
    str | None, typer.Option("--html-field", help="JSON Lines: the field with HTML, to be read instead of a text.")
]
IdField = Annotated[str, typer.Option("--id-field", help="JSON Lines: the field with the id.")]
UrlField = Annotated[str, typer.Option("--url-field", help="JSON Lines: the field with the URL.")]
Errors = Annotated[Path | None, typer.Option("--errors", help="Write failures here, as JSON Lines.")]
Keep = Annotated[list[Label] | None, typer.Option("--keep", help="Label to keep, repeatable; editorial if none.")]
MinConfidence = Annotated[
    float | None,
    typer.Option("--min-confidence", min=0, max=1, help="Keep what bears the labels kept with this probability."),
]
Recall = Annotated[bool, typer.Option("--recall", help="Lose as little as possible: keep what may be editorial.")]
Precision = Annotated[bool, typer.Option("--precision", help="Let as little junk through as possible.")]
SiteMemoryOption = Annotated[
    bool,
    typer.Option("--site-memory", help="Learn from what a host's pages repeat, as they pass; records with a URL only."),
]
OnePage = Annotated[str, typer.Argument(metavar="PAGE", help="A file of text or HTML, or -.")]


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
    "   |   cat page.txt | detector label -",
)
def label_command(
    paths: Paths,
    output: Out = None,
    input_format: InFormat = InputFormat.AUTO,
    output_format: Annotated[
        LabelOutput, typer.Option("--output-format", help="auto: a table on a terminal, else JSON Lines.")
    ] = LabelOutput.AUTO,
    text_field: TextField = "text",
    html_field: HtmlField = None,
    id_field: IdField = "id",
    url_field: UrlField = "url",
    model: ModelFolder = None,
    errors: Errors = None,
    site_memory: SiteMemoryOption = False,
) -> None:
    """Label every paragraph of every page."""
    if output_format is LabelOutput.AUTO:
        on_terminal = output is None and sys.stdout.isatty()
        output_format = LabelOutput.TABLE if on_terminal else LabelOutput.JSONL
    names = jsonl.Fields(text_field, id_field, url_field, html_field)
    with _Run(paths, input_format, names, model, output, errors, site_memory) as run:
        write = _label_writer(output_format, run)
        for page in run.pages():
            write(page)
    run.finish()


def _label_writer(output_format: LabelOutput, run: _Run) -> Callable[[Page], None]:
    if output_format is LabelOutput.TABLE:
        from detector.view import print_page

        console = _console(run.out)
        return lambda page: print_page(console, page)
    if output_format is LabelOutput.TSV:
        return lambda page: run.out.writelines(jsonl.tsv_lines(page))
    model = run.detector.model.name
    return lambda page: run.write(jsonl.dump(jsonl.labelled_record(page, model)))


@app.command(
    "clean",
    epilog="Examples:  detector clean page.txt   |   detector clean pages.jsonl -o clean.jsonl --recall"
    "   |   detector clean page.html --output-format markdown",
)
def clean_command(
    paths: Paths,
    output: Out = None,
    keep: Keep = None,
    min_confidence: MinConfidence = None,
    recall: Recall = False,
    precision: Precision = False,
    input_format: InFormat = InputFormat.AUTO,
    output_format: Annotated[
        CleanOutput,
        typer.Option(
            "--output-format",
            help="auto: text for one file, JSON Lines for more pages; markdown: one page's, from HTML.",
        ),
    ] = CleanOutput.AUTO,
    text_field: TextField = "text",
    html_field: HtmlField = None,
    id_field: IdField = "id",
    url_field: UrlField = "url",
    model: ModelFolder = None,
    errors: Errors = None,
    site_memory: SiteMemoryOption = False,
) -> None:
    """Write the same pages with only what is kept."""
    from detector.markdown import MarkdownPage, parse_markdown

    labels = keep or [Label.EDITORIAL]
    preset = _preset(labels, min_confidence, recall, precision)
    as_text = _as_text(output_format, paths, input_format)
    names = jsonl.Fields(text_field, id_field, url_field, html_field)
    with _Run(paths, input_format, names, model, output, errors, site_memory) as run:
        for page in run.pages(parse_markdown if output_format is CleanOutput.MARKDOWN else parse_html):
            mask = run.detector.keep_mask(page, labels, preset=preset, min_confidence=min_confidence)
            text = page.keep_markdown_where(mask) if isinstance(page, MarkdownPage) else page.keep_where(mask)
            if as_text:
                run.write(text + "\n" * (not text.endswith("\n") and bool(text)))
            else:
                run.write(jsonl.dump(jsonl.cleaned_record(page, text, run.detector.model.name)))
    run.finish()


def _preset(labels: list[Label], min_confidence: float | None, recall: bool, precision: bool) -> Preset | None:
    if recall + precision + (min_confidence is not None) > 1:
        raise typer.BadParameter("--recall, --precision and --min-confidence exclude one another: give one")
    if not recall and not precision:
        return None
    if set(labels) != {Label.EDITORIAL}:
        raise typer.BadParameter("--recall and --precision are thresholds for editorial: use --min-confidence")
    return Preset.RECALL if recall else Preset.PRECISION


def _as_text(output_format: CleanOutput, paths: list[str], input_format: InputFormat) -> bool:
    single = at_most_one_page(paths, input_format)
    if output_format in (CleanOutput.TEXT, CleanOutput.MARKDOWN) and not single:
        raise typer.BadParameter(
            f"{output_format} output holds one page, without a mark where the next would begin: use jsonl"
        )
    return single and output_format is not CleanOutput.JSONL


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

    for detector, page in _single(path, model):
        if output is None:
            print_page(_console(sys.stdout), page)
            continue
        with whole_file(output) as file:
            if output.suffix == ".svg":
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
        raise typer.BadParameter(f"{path} is a folder, a glob or JSON Lines: name one page's file")
    with _Run([path], InputFormat.AUTO, jsonl.Fields(), model, None, None) as run:
        for page in run.pages():
            yield run.detector, page
    run.finish()


def _console(file: IO[str]) -> Console:
    from rich.console import Console

    return Console(file=file, highlight=False, soft_wrap=False)


class _Run:
    """One run over inputs: opens what is written, counts, reports failures, decides the exit code."""

    def __init__(
        self,
        paths: list[str],
        input_format: InputFormat,
        names: jsonl.Fields,
        model: Path | None,
        output: Path | None,
        errors: Path | None,
        site_memory: bool = False,
    ) -> None:
        if output and errors and output.resolve() == errors.resolve():
            raise typer.BadParameter("--output and --errors must be two files")
        self.paths, self.input_format, self.names = paths, input_format, names
        self.site_memory = site_memory
        self.detector = Detector.load(model)
        self.tally = Tally()
        self._output, self._errors = output, errors
        self._stack = ExitStack()

    def __enter__(self) -> _Run:
        self.out: IO[str] = self._stack.enter_context(whole_file(self._output)) if self._output else sys.stdout
        self._lane = self._stack.enter_context(whole_file(self._errors)) if self._errors else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, problem, trace)

    def write(self, text: str) -> None:
        self.out.write(text)

    def fail(self, failure: Failure) -> None:
        self.tally.failed += 1
        if self._lane:
            self._lane.write(failure.as_json())
        self.warn(str(failure))

    def warn(self, message: str) -> None:
        typer.echo(f"detector: {message}", err=True)

    def pages(self, parse_page: Callable[[bytes], Page] = parse_html) -> Iterator[Page]:
        """The labelled pages, with a progress line on a terminal when the output goes elsewhere."""
        pages = read(self.paths, self.input_format.value, self.names, self.fail, self.warn, parse_page)
        labelled = label(self.detector, pages, self.tally, site_memory=self.site_memory)
        if self._output is None or not sys.stderr.isatty():
            yield from labelled
            return
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} pages"), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            yield from progress.track(labelled)

    def finish(self) -> None:
        """Say what went in and came out where that is of use; exit with 1 if anything failed."""
        if self._output is not None or self.tally.failed:
            typer.echo(f"detector: {self.tally}", err=True)
        if self.tally.failed:
            raise typer.Exit(1)


def main() -> None:
    """Run the command line; what ends it is said in one line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A page's own line ends are written as they are, on Windows too.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    try:
        app(prog_name="detector")
    except ModelError as error:
        typer.echo(f"detector: {error}", err=True)
        raise SystemExit(1) from None
    except OSError as error:
        typer.echo(f"detector: {error.filename or 'output'}: {error.strerror or error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
