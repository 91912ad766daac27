"""Shared fixtures: the bundled detector, a tiny model trained on the spot, real-shaped pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from detector import Detector
from tests.site import served
from training.compose import Mixture
from training.corpus import DATA, read_bank, read_own_pages, render_all
from training.fit import Fitted, Settings, Sources, fit
from training.network import NetworkSettings

# How long an example takes says nothing about whether it is right.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

TINY = Settings(
    epochs=2,
    network=NetworkSettings(width=8, channels=12),
    mixture=Mixture(written=30),
)


@pytest.fixture(scope="session")
def detector() -> Detector:
    return Detector.load()


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The first address of a site of thirty linked pages."""
    with served() as url:
        yield url


@pytest.fixture(scope="session")
def tiny_sources() -> Sources:
    """Some pages, widgets and passages of every kind, in a few languages."""
    langs = {"en", "de", "ja"}
    own = [page for page in read_own_pages() if page.lang in langs]
    widgets = [widget for widget in read_bank(DATA / "widgets") if widget.lang in langs]
    passages = [passage for passage in read_bank(DATA / "passages") if passage.lang in langs]
    return Sources([], own, widgets, passages, render_all(own, DATA / "pages"))


@pytest.fixture(scope="session")
def tiny(tiny_sources: Sources) -> Fitted:
    return fit(tiny_sources, TINY, lambda message: None)


@pytest.fixture
def tiny_folder(tiny: Fitted, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    tiny.model.save(folder)
    return folder
