"""``python -m training``: parses, calls, prints."""

from __future__ import annotations

import dataclasses
import io
import json
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import joblib
import numpy as np
import typer

from detector import Detector, ModelError
from detector.extras import MissingExtraError
from detector.files import whole_file, write_whole
from training import alignment, baselines, benchmark_cli, memory, vectors
from training.adapt import Adapting, adapt, read_corrected, rehearsal_of, trial
from training.card import make_card
from training.corpus import (
    DATA,
    CorpusError,
    Document,
    read_bank,
    read_own_pages,
    read_pages,
    read_training_pages,
    render_all,
)
from training.evaluate import Predict, detector_scores, evaluate, html_scores, table
from training.fit import Fitted, Settings, Sources, fit
from training.prior import PRIOR_FILE
from training.rebuild import label_files, rebuild, strip_text, write_jsonl
from training.suites import SUITES, Suite, held_out

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Train, measure and rebuild. Run from a clone.")
app.add_typer(benchmark_cli.app, name="benchmark")

PIPELINE_FILE = "pipeline.joblib"
QUICK = ("epochs=8", "own_copies=2", "mixture.written=1000")
"""Without a corpus, a model in under a minute: it shows how training works."""
WORTH = """This model has read {pages} pages and the bank of data/: enough to see how training works, and for appeals
inside articles. For whole pages of the web, train on a corpus (data/README.md tells how to rebuild it)."""

CorpusOption = Annotated[
    Path | None,
    typer.Option("--corpus", help="Folder with train.jsonl.gz and dev.jsonl.gz.", exists=True, file_okay=False),
]


def _say(message: str) -> None:
    typer.echo(f"[{time.strftime('%H:%M:%S')}] {message}", err=True)


@app.command(
    epilog="Examples:  python -m training train --out my-model/"
    "   |   python -m training train --corpus corpora/ --out my-model/"
)
def train(
    out: Annotated[Path, typer.Option("--out", help="Model folder to write.")],
    corpus: CorpusOption = None,
    release: Annotated[
        bool, typer.Option(help="Learn from all of data/pages: none of them is left to measure on.")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Another setting, as in epochs=4 or mixture.written=100.")
    ] = None,
) -> None:
    """Train a model; without --corpus, on the texts in data/ alone.

    The same data and settings give the same model. The hosts of dev are never learned from, nor, without --release,
    one publication in four of data/pages; the model's card says how right it is on them.
    """
    started = time.monotonic()
    try:
        chosen = Settings().changed([*(() if corpus else QUICK), *(settings or [])])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--set") from None
    out.mkdir(parents=True, exist_ok=True)
    sources, seen = _sources(corpus, release)
    # Read before hours are spent on training: what cannot be read should be said at once.
    suites = {name: suite.read(corpus) for name, suite in SUITES.items() if _can_measure(suite, corpus, seen)}
    fitted = fit(sources, chosen, _say)
    results = _measure(Detector(fitted.model), suites, corpus)
    card = make_card(sources, seen, chosen, results)
    dataclasses.replace(fitted.model, card=dict(fitted.model.card) | card).save(out)
    _dump(fitted, out)
    for name, result in results.items():
        typer.echo(table(name, result))
    _say(f"{out}: written after {time.monotonic() - started:.0f} s")
    if corpus is None:
        typer.echo(WORTH.format(pages=len(sources.own)))


def _can_measure(suite: Suite, corpus: Path | None, seen: Sequence[str]) -> bool:
    return suite.part not in seen and (corpus is not None or suite.part != "dev")


def _sources(corpus: Path | None, release: bool) -> tuple[Sources, list[str]]:
    """What to learn from, and which parts of the labelled pages that are."""
    own = [page for page in read_own_pages() if release or not held_out(page)]
    pages = read_training_pages(corpus) if corpus else []
    if corpus is not None:
        _say(f"rendering the HTML of {len(pages):,} pages")
    renderings = render_all(pages, corpus) | render_all(own, DATA / "pages")
    parts = ["train"] * (corpus is not None) + ["pages"] * release
    bank = read_bank(DATA / "widgets"), read_bank(DATA / "passages")
    return Sources(pages, own, *bank, renderings), parts


def _measure(detector: Detector, suites: Mapping[str, Sequence[Document]], corpus: Path | None) -> dict[str, Any]:
    return {name: evaluate(pages, _predict(detector, SUITES[name], corpus)) for name, pages in suites.items()}


def _predict(detector: Detector, suite: Suite, corpus: Path | None) -> Predict:
    return html_scores(detector, corpus) if suite.html and corpus else detector_scores(detector)


def _dump(fitted: Fitted, out: Path) -> None:
    """Leave the scikit-learn pipeline beside the model, for those who want to study it."""
    partial = out / (PIPELINE_FILE + ".partial")
    joblib.dump(fitted.pipeline, partial, compress=3)
    partial.replace(out / PIPELINE_FILE)


@app.command(
    "adapt",
    epilog="Example:  detector label pages/ -o corrections.jsonl   |   (correct labels in the file)"
    "   |   python -m training adapt --labels corrections.jsonl --out my-model/",
)
def adapt_command(
    labels: Annotated[
        Path, typer.Option("--labels", help="Output of 'detector label', corrected.", exists=True, dir_okay=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="Model folder to write.")],
    model: Annotated[
        Path | None, typer.Option("--model", help="Model folder to start from; the bundled model if none is named.")
    ] = None,
) -> None:
    """Change a model in seconds by a few dozen corrected pages, so that it forgets nothing else.

    Every label in the file is learned from, so read whole pages; put null for labels that you did not check.
    """
    started = time.monotonic()
    failed: list[str] = []
    corrected = read_corrected(labels, failed.append)
    for reason in failed:
        typer.echo(reason, err=True)
    if not corrected:
        raise CorpusError(
            f"{labels}: no page to learn from; 'detector label pages/ -o {labels.name}' writes such a file"
        )
    start, rehearsal, settings = Detector.load(model).model, rehearsal_of(), Adapting()
    if len(corrected) > 1:
        tried = trial(start, corrected, rehearsal, settings)
        _say(
            f"trial on {tried.pages} of the {len(corrected)} pages, kept back for it:"
            f" {tried.before:.3f} of their paragraphs right before, {tried.after:.3f} after"
        )
    adapted = adapt(start, corrected, rehearsal, settings)
    adapted.save(out)
    paragraphs = adapted.card["adapted"]["paragraphs"]
    _say(
        f"{out}: adapted to {len(corrected):,} pages, {paragraphs:,} paragraphs, in {time.monotonic() - started:.0f} s"
    )
    if failed:
        _say(f"{len(failed):,} records were left out, for the reasons above")
        raise typer.Exit(1)


@app.command(
    "evaluate",
    epilog="Example:  python -m training evaluate --corpus corpora/ --suite dev --by lang --baselines --json out.json",
)
def evaluate_command(
    corpus: CorpusOption = None,
    model: Annotated[
        Path | None, typer.Option("--model", help="Model folder; the bundled model if none is named.")
    ] = None,
    suite: Annotated[
        list[str] | None,
        typer.Option("--suite", help=f"Repeatable: {', '.join(SUITES)}. All that the data allows if none."),
    ] = None,
    by: Annotated[list[str] | None, typer.Option("--by", help="Repeatable: lang, page_type, kind.")] = None,
    with_baselines: Annotated[
        bool,
        typer.Option("--baselines", help="Train and measure line-by-line TF-IDF and fastText beside it (minutes)."),
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures here as well.")] = None,
) -> None:
    """Measure a model on labelled pages, as a table and as JSON."""
    detector = Detector.load(model)
    names = suite or [name for name, each in SUITES.items() if corpus is not None or each.part == "pages"]
    for name in names:
        if name not in SUITES:
            raise typer.BadParameter(f"{name!r}; there are {', '.join(SUITES)}", param_hint="--suite")
    wrong = set(by or []) - {"lang", "page_type", "kind"}
    if wrong:
        raise typer.BadParameter(f"{', '.join(sorted(wrong))}; there are lang, page_type, kind", param_hint="--by")
    others = _baselines(corpus) if with_baselines else {}
    results: dict[str, Any] = {}
    for name in names:
        documents = SUITES[name].read(corpus)
        predictors = {"detector": _predict(detector, SUITES[name], corpus), **({} if SUITES[name].html else others)}
        _warn_if_seen(detector, SUITES[name].part, name)
        results[name] = {who: evaluate(documents, predict, by or []) for who, predict in predictors.items()}
        for who, result in results[name].items():
            typer.echo(table(f"{name} ({SUITES[name].what}), {who}", result))
    if json_file:
        with whole_file(json_file) as file:
            file.write(json.dumps(results, indent=2, ensure_ascii=False) + "\n")


def _baselines(corpus: Path | None) -> dict[str, Predict]:
    if corpus is None:
        raise typer.BadParameter("they learn from the corpus: name its folder with --corpus", param_hint="--baselines")
    pages: list[Document] = read_pages(corpus / "train.jsonl.gz")
    _say("training line-by-line TF-IDF with logistic regression")
    found = {"TF-IDF and logistic regression, line by line": baselines.logistic_regression(pages)}
    try:
        _say("training fastText")
        found["fastText, line by line"] = baselines.fasttext(pages)
    except ModuleNotFoundError:
        _say("fastText is left out: pip install 'banner-detector[benchmark]'")
    return found


def _warn_if_seen(detector: Detector, part: str, name: str) -> None:
    if part in detector.model.card.get("data", {}).get("parts", []):
        _say(f"warning: this model was trained on the pages of suite {name}: its figures there say nothing")


@app.command("memory", epilog="Example:  python -m training memory --corpus corpora/ --model held-out/")
def memory_command(
    corpus: Annotated[Path, typer.Option("--corpus", help="Corpus folder with html/.", exists=True, file_okay=False)],
    model: Annotated[
        Path | None, typer.Option("--model", help="Model folder; the bundled model if none is named.")
    ] = None,
) -> None:
    """Measure what site memory adds: on hosts with several pages, and on sites made for it."""
    detector = Detector.load(model)
    for part in ("dev", "pages"):
        _warn_if_seen(detector, part, part)
    for name, documents, html in memory.sets(corpus):
        typer.echo(memory.table(name, memory.measure(detector, documents, html)))


@app.command("align", epilog="Example:  python -m training align --corpus corpora/")
def align_command(
    corpus: Annotated[Path, typer.Option("--corpus", help="Corpus folder with html/.", exists=True, file_okay=False)],
) -> None:
    """Count the labelled lines that our rendering of the pages' HTML has."""
    parts = {"train and extra": read_training_pages(corpus), "dev": read_pages(corpus / "dev.jsonl.gz")}
    for name, pages in parts.items():
        typer.echo(alignment.table(name, len(pages), alignment.alignments(pages, corpus)))


@app.command("benchmark-serve", epilog="Example:  python -m training benchmark-serve --requests 100000")
def benchmark_serve_command(
    requests: Annotated[int, typer.Option("--requests", min=1, help="Sent at the peak rate.")] = 2_000,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that label.")] = 2,
) -> None:
    """Measure the HTTP service under load on this machine: rate, waiting times, memory."""
    from training.serve_benchmark import benchmark

    for line in benchmark(requests, workers):
        typer.echo(line)


@app.command("rebuild", epilog="Example:  python -m training rebuild --clones repositories/ --out corpora/")
def rebuild_command(
    clones: Annotated[
        Path, typer.Option("--clones", help="Folder with the clones named in data/sources.toml.", exists=True)
    ],
    out: Annotated[Path, typer.Option("--out", help="Corpus folder to write.")],
) -> None:
    """Rebuild the labelled corpus from public repositories; each line is checked against its hash."""
    out.mkdir(parents=True, exist_ok=True)
    failed: list[str] = []
    for path in label_files():
        outcome = rebuild(path, clones, out / path.name, _say)
        failed += outcome.failed
        _say(f"{out / path.name}: {outcome.rebuilt:,} pages")
    for reason in failed:
        typer.echo(reason, err=True)
    if failed:
        _say(f"{len(failed):,} pages were left out, for the reasons above")
        raise typer.Exit(1)


@app.command("strip", epilog="Example:  python -m training strip --corpus corpora/ --out data/labels/")
def strip_command(
    corpus: Annotated[Path, typer.Option("--corpus", help="Corpus folder.", exists=True, file_okay=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")] = DATA / "labels",
) -> None:
    """Write the labels of a corpus without its texts, as data/labels/ holds them."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("train.jsonl.gz", "dev.jsonl.gz"):
        write_jsonl(out / name, strip_text(corpus / name))
        _say(f"{out / name}: written")


@app.command("vectors", epilog="Example:  python -m training vectors --corpus corpora/")
def vectors_command(
    corpus: Annotated[Path, typer.Option("--corpus", help="Corpus folder.", exists=True, file_okay=False)],
    out: Annotated[Path, typer.Option("--out", help="File to write.")] = PRIOR_FILE,
) -> None:
    """Make the word vectors that training starts from (data/vectors/): minutes, and an encoder of 30 MB."""
    try:
        encode, pieces = vectors.encoder()
    except MissingExtraError as missing:
        raise typer.BadParameter(str(missing)) from None
    own = ((page.group, page.text) for page in (*read_own_pages(), *read_bank(DATA / "passages")))
    known = vectors.vocabulary(chain(vectors.corpus_texts(corpus), own), pieces)
    _say(f"{len(known.words):,} words, {len(known.pairs):,} pairs")
    arrays = vectors.prior_arrays(known, encode)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, buffer.getvalue())
    _say(f"{out}: {len(arrays['buckets']):,} vectors, {out.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    """Run the command line; errors of data and models end it with one line."""
    try:
        app(prog_name="python -m training")
    except (CorpusError, ModelError, OSError) as error:
        typer.echo(f"python -m training: {error}", err=True)
        raise SystemExit(1) from None
