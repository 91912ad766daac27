"""``python -m training benchmark``: parses, calls, prints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from detector import Detector
from detector.files import whole_file
from detector.html import decode_html
from training import extraction
from training.adapt import Adapting, rehearsal_of
from training.benchmarks import after as after_extractor
from training.benchmarks import newsrooms
from training.benchmarks.contenders import contenders, installed, trafilatura
from training.benchmarks.scale import SIZES, overhead, scale
from training.benchmarks.speed import html_speed, text_speed
from training.corpus import DATA, CorpusError, Document, read_bank, read_html, read_own_pages, read_pages
from training.evaluate import table
from training.suites import held_out

app = typer.Typer(no_args_is_help=True, help="Speed, extraction, and what survives an extractor, beside other tools.")

Item = TypeVar("Item")
EXTRA = "pip install 'banner-detector[benchmark]'"

CorpusOption = Annotated[
    Path | None,
    typer.Option("--corpus", help="Folder with dev.jsonl.gz, weak.jsonl.gz and html/.", exists=True, file_okay=False),
]
ModelOption = Annotated[Path | None, typer.Option("--model", help="Model folder; if none, the bundled model.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write all figures here as well.")]


class SuiteName(StrEnum):
    """The public extraction benchmarks."""

    AEB = "aeb"
    WCXB = "wcxb"


class Split(StrEnum):
    """The parts of WCXB."""

    DEV = "dev"
    TEST = "test"


def _write(path: Path | None, result: dict[str, Any]) -> None:
    if path:
        with whole_file(path) as file:
            file.write(json.dumps(result, indent=2, ensure_ascii=False) + "\n")


def _progress(items: Iterable[Item], total: int, what: str) -> Iterable[Item]:
    """The items, with a bar on standard error if that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, what, total, console=console, transient=True, disable=not console.is_terminal)


@app.command("scale", epilog="Example:  python -m training benchmark scale --megabytes 10 --megabytes 100")
def scale_command(
    megabytes: Annotated[
        list[int] | None,
        typer.Option("--megabytes", min=1, help=f"Size of the input, repeatable; {SIZES} if none. Minutes a hundred."),
    ] = None,
) -> None:
    """Measure whole runs over made corpora: 1 and 2 workers, peak memory, what the engine costs beside labelling."""
    for line in chain(overhead(), scale(megabytes or SIZES)):
        typer.echo(line)


@app.command(
    epilog="Examples:  python -m training benchmark extract --suite wcxb --corpus corpora/"
    "   |   python -m training benchmark extract --suite aeb --root article-extraction-benchmark/"
)
def extract(
    suite: Annotated[SuiteName, typer.Option("--suite", help="The benchmark, in its own metric.")],
    root: Annotated[
        Path | None, typer.Option("--root", help="Clone of the benchmark's repository.", exists=True, file_okay=False)
    ] = None,
    corpus: CorpusOption = None,
    split: Annotated[
        Split, typer.Option("--split", help="Of a clone of wcxb; test is for the final measure.")
    ] = Split.DEV,
    model: ModelOption = None,
    json_file: JsonOption = None,
) -> None:
    """Measure this project, trafilatura, jusText, readability-lxml and resiliparse as extractors.

    Pages of hosts that models learn from (data/labels/) are left out. An extractor that raises on a page scores an
    empty text for it.
    """
    cases = _cases(suite, root, corpus, split)
    kept = extraction.not_trained_on(cases)
    _say_left_out(cases, kept)
    present, missing = installed(contenders(Detector.load(model)))
    for name in missing:
        typer.echo(f"{name} is left out, not installed: {EXTRA}", err=True)
    extractors = {each.name: each.make() for each in present}
    results = list(_progress(extraction.run(kept, extractors, extraction.METRICS[suite]), len(kept), f"{suite}, pages"))
    groups = extraction.summary(results)
    typer.echo(extraction.table(groups))
    counts = {"pages_in_suite": len(cases), "pages_measured": len(kept), "not_installed": missing}
    pages = extraction.page_by_page(results)
    _write(json_file, {"suite": suite.value, **counts, "by_page_type": groups, "pages": pages})


def _cases(suite: SuiteName, root: Path | None, corpus: Path | None, split: Split) -> list[extraction.Case]:
    if (root is None) == (corpus is None):
        raise typer.BadParameter("name either the benchmark's clone or, for wcxb, a --corpus", param_hint="--root")
    if root is not None:
        return extraction.read_aeb(root) if suite is SuiteName.AEB else extraction.read_wcxb(root, split)
    if suite is SuiteName.AEB:
        raise typer.BadParameter("a corpus has no pages of aeb: name its clone with --root", param_hint="--corpus")
    assert corpus is not None
    return extraction.read_weak(corpus)


def _say_left_out(cases: Sequence[extraction.Case], kept: Sequence[extraction.Case]) -> None:
    measured, all_hosts = {case.host for case in kept}, {case.host for case in cases}
    if not kept:
        raise CorpusError(
            f"all {len(cases):,} pages are of hosts that models learn from: nothing is left to measure on"
        )
    typer.echo(
        f"{len(kept):,} pages of {len(measured):,} hosts; {len(cases) - len(kept):,} pages of"
        f" {len(all_hosts - measured):,} hosts left out: models learn from these hosts (data/labels/)"
    )


@app.command(epilog="Example:  python -m training benchmark speed --corpus corpora/ --json speed.json")
def speed(corpus: CorpusOption = None, model: ModelOption = None, json_file: JsonOption = None) -> None:
    """Measure speed on one core, for text and for HTML, on dev's pages or, without a corpus, our own.

    Every figure is of the same run: contenders take turns, the median of their processor time counts.
    """
    documents = read_pages(corpus / "dev.jsonl.gz") if corpus else read_own_pages()
    detector = Detector.load(model)
    text = text_speed(documents, detector)
    typer.echo(f"text: {text}")
    pages = [html for _, html in _with_html(documents, corpus or DATA / "pages")]
    html = html_speed(pages, detector)
    typer.echo(f"HTML: {html}")
    _write(json_file, {"text": text.as_json(), "html": html.as_json()})


def _with_html(documents: Sequence[Document], folder: Path) -> list[tuple[Document, str]]:
    """The pages that have their HTML in ``folder``, with it."""
    found = [(document, html) for document in documents if (html := read_html(folder, document)) is not None]
    if not found:
        raise CorpusError(f"{folder}: no HTML of these pages; see data/README.md for the layout")
    return [(document, decode_html(html)) for document, html in found]


@app.command(epilog="Example:  python -m training benchmark after --corpus corpora/")
def after(corpus: CorpusOption = None, model: ModelOption = None, json_file: JsonOption = None) -> None:
    """Measure what the detector removes from trafilatura's output, labelled as plain text.

    On dev's pages or, without a corpus, those of our own that have HTML: the share of the surviving junk that goes
    and of the editorial text that goes with it. Once with readers' comments, which trafilatura keeps unless told
    otherwise and the guidelines call boilerplate, and once without.
    """
    try:
        extractors = {f"trafilatura{note}": trafilatura(comments=not note) for note in ("", ", include_comments=False")}
    except ModuleNotFoundError:
        typer.echo(f"this needs trafilatura: {EXTRA}", err=True)
        raise typer.Exit(1) from None
    documents = read_pages(corpus / "dev.jsonl.gz") if corpus else read_own_pages()
    pages, detector = _with_html(documents, corpus or DATA / "pages"), Detector.load(model)
    results = {}
    for name, extractor in extractors.items():
        results[name] = after_extractor.measure(_progress(pages, len(pages), "pages"), extractor, detector)
        typer.echo(after_extractor.table(name, results[name]))
    _write(json_file, results)


@app.command("adapt", epilog="Example:  python -m training benchmark adapt --model held-out/ --corpus corpora/")
def adapt_command(corpus: CorpusOption = None, model: ModelOption = None, json_file: JsonOption = None) -> None:
    """Measure 'adapt' on simulated newsrooms: 20 pages of a publication to learn from, 20 others to test on.

    With a corpus, also on real hosts of which dev has two pages, and on all of dev what is forgotten. The model must
    not have read the held-out publications: name one that was trained without --release.
    """
    start = Detector.load(model).model
    if "pages" in start.card.get("data", {}).get("parts", []):
        typer.echo("warning: this model was trained on these publications: what it gains is understated", err=True)
    dev = read_pages(corpus / "dev.jsonl.gz") if corpus else []
    rooms = list(newsrooms.newsrooms(read_own_pages(), read_bank(DATA / "passages"), pages=20, seed=1))
    rehearsal = rehearsal_of(lambda page: not held_out(page))
    results = newsrooms.measure(start, _progress(rooms, len(rooms), "newsrooms"), rehearsal, Adapting(), dev)
    if dev:
        results |= newsrooms.measure_hosts(start, rehearsal, Adapting(), dev)
    for name, result in results.items():
        typer.echo(table(name, result))
    _write(json_file, results)
