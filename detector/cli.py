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
from typing import IO, TYPE_CHECKING, Annotated

import typer

from detector import __version__
from detector.batch import Failure, Tally, label, read, whole_file
from detector.detector import Detector, Preset
from detector.formats import jsonl
from detector.labels import Label
from detector.model import ModelError
from detector.page import Page

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Label every paragraph of a scraped page: editorial, promo, related-links or boilerplate.",
    epilog="Exit codes: 0 all went well, 1 something could not be read, 2 wrong usage, 130 interrupted.",
)


class InputFormat(StrEnum):
    """Formats that are read; ``auto`` goes by the file's suffix."""

    AUTO = "auto"
    TEXT = "text"
    JSONL = "jsonl"


class LabelOutput(StrEnum):
    """Formats that ``label`` writes; ``auto`` is a table on a terminal, JSON Lines elsewhere."""

    AUTO = "auto"
    TABLE = "table"
    JSONL = "jsonl"
    TSV = "tsv"


class CleanOutput(StrEnum):
    """Formats that ``clean`` writes; ``auto`` is text for one page, JSON Lines for JSON Lines or several inputs."""

    AUTO = "auto"
    TEXT = "text"
    JSONL = "jsonl"


Paths = Annotated[list[str], typer.Argument(help="Files, folders, globs, or - for standard input.", metavar="PATH...")]
Out = Annotated[Path | None, typer.Option("-o", "--output", help="Write here instead of to standard output.")]
ModelFolder = Annotated[Path | None, typer.Option("--model", help="Model folder; the bundled model if none is named.")]
InFormat = Annotated[InputFormat, typer.Option("--input-format", help="auto goes by the file's suffix.")]
TextField = Annotated[str, typer.Option("--text-field", help="JSON Lines: the field with the text.")]
IdField = Annotated[str, typer.Option("--id-field", help="JSON Lines: the field with the id.")]
UrlField = Annotated[str, typer.Option("--url-field", help="JSON Lines: the field with the URL.")]
Errors = Annotated[Path | None, typer.Option("--errors", help="Write failures here, as JSON Lines.")]


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
    id_field: IdField = "id",
    url_field: UrlField = "url",
    model: ModelFolder = None,
    errors: Errors = None,
) -> None:
    """Label every paragraph of every page."""
    if output_format is LabelOutput.AUTO:
        on_terminal = output is None and sys.stdout.isatty()
        output_format = LabelOutput.TABLE if on_terminal else LabelOutput.JSONL
    names = jsonl.Fields(text_field, id_field, url_field)
    with _Run(paths, input_format, names, model, output, errors) as run:
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
    epilog="Examples:  detector clean page.txt   |   detector clean pages.jsonl -o clean.jsonl --recall",
)
def clean_command(
    paths: Paths,
    output: Out = None,
    keep: Annotated[
        list[Label] | None, typer.Option("--keep", help="Label to keep, repeatable; editorial if none.")
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option("--min-confidence", min=0, max=1, help="Keep what bears the labels kept with this probability."),
    ] = None,
    recall: Annotated[
        bool, typer.Option("--recall", help="Lose as little as possible: keep what may be editorial.")
    ] = False,
    precision: Annotated[bool, typer.Option("--precision", help="Let as little junk through as possible.")] = False,
    input_format: InFormat = InputFormat.AUTO,
    output_format: Annotated[
        CleanOutput, typer.Option("--output-format", help="auto: text for one text file, else JSON Lines.")
    ] = CleanOutput.AUTO,
    text_field: TextField = "text",
    id_field: IdField = "id",
    url_field: UrlField = "url",
    model: ModelFolder = None,
    errors: Errors = None,
) -> None:
    """Write the same pages with only what is kept."""
    if recall + precision + (min_confidence is not None) > 1:
        raise typer.BadParameter("--recall, --precision and --min-confidence exclude one another: give one")
    preset = Preset.RECALL if recall else Preset.PRECISION if precision else None
    if output_format is CleanOutput.AUTO:
        single = len(paths) == 1 and not os.path.isdir(paths[0]) and input_format is not InputFormat.JSONL
        plain = single and not paths[0].endswith(".jsonl")
        output_format = CleanOutput.TEXT if plain else CleanOutput.JSONL
    names = jsonl.Fields(text_field, id_field, url_field)
    with _Run(paths, input_format, names, model, output, errors) as run:
        for page in run.pages():
            mask = run.detector.keep_mask(page, keep or [Label.EDITORIAL], preset=preset, min_confidence=min_confidence)
            text = page.keep_where(mask)
            if output_format is CleanOutput.TEXT:
                run.write(text + "\n" * (not text.endswith("\n") and bool(text)))
            else:
                run.write(jsonl.dump(jsonl.cleaned_record(page, text, run.detector.model.name)))
    run.finish()


@app.command("explain", epilog="Example:  detector explain page.txt")
def explain_command(
    path: Annotated[str, typer.Argument(metavar="PAGE", help="A text file, or -.")], model: ModelFolder = None
) -> None:
    """Say why each paragraph got its label: n-grams, shape, neighbours."""
    from detector.view import print_page

    for detector, page in _single(path, model):
        explanations = [detector.explain(page, i) for i in range(len(page))]
        print_page(_console(sys.stdout), page, explanations)


@app.command("view", epilog="Examples:  detector view page.txt   |   detector view page.txt -o page.html")
def view_command(
    path: Annotated[str, typer.Argument(metavar="PAGE", help="A text file, or -.")],
    output: Out = None,
    model: ModelFolder = None,
) -> None:
    """Show a page in colour, in the terminal or as one HTML file with confidences and reasons."""
    from detector.view import page_html, print_page

    for detector, page in _single(path, model):
        if output is None:
            print_page(_console(sys.stdout), page)
            continue
        explanations = [detector.explain(page, i) for i in range(len(page))]
        with whole_file(output) as file:
            file.write(page_html(page, explanations))


@app.command("info", epilog="Example:  detector info --model my-model/")
def info_command(model: ModelFolder = None) -> None:
    """Print the model's card: version, data, scores, size."""
    detector = Detector.load(model)
    typer.echo(json.dumps({"name": detector.model.name, **detector.model.card}, indent=2, ensure_ascii=False))


def _single(path: str, model: Path | None) -> Iterator[tuple[Detector, Page]]:
    """The one page of ``path``, labelled."""
    with _Run([path], InputFormat.TEXT, jsonl.Fields(), model, None, None) as run:
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
    ) -> None:
        self.paths, self.input_format, self.names = paths, input_format, names
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
        typer.echo(f"detector: {failure}", err=True)

    def pages(self) -> Iterator[Page]:
        """The labelled pages, with a progress line on a terminal when the output goes elsewhere."""
        pages = read(self.paths, self.input_format.value, self.names, self.fail)
        labelled = label(self.detector, pages, self.tally)
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
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        app(prog_name="detector")
    except ModelError as error:
        typer.echo(f"detector: {error}", err=True)
        raise SystemExit(1) from None
    except BrokenPipeError:
        # The reader went away (| head): not an error, but Python would complain again at its own exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        typer.echo(f"detector: {error.filename or 'output'}: {error.strerror or error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
