from __future__ import annotations

import pickle
import secrets
import warnings
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from detector import Detector, ModelError
from detector.integrations.ray import DetectorBatches
from tests.examples import APPEAL, assert_labelled, run_example, write_pages


@pytest.fixture(scope="module")
def ray_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # A token of the test's own: otherwise Ray writes one into the home folder.
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        import ray

        ray.init(num_cpus=2, include_dashboard=False, logging_level="error")
        yield
        ray.shutdown()


@pytest.mark.filterwarnings(r"ignore:`\w+` is deprecated:DeprecationWarning:ray\.data\.context")
def test_the_example(ray_session: None, detector: Detector, tmp_path: Path):
    write_pages(tmp_path / "pages")
    run_example("label_with_ray.py", tmp_path / "pages", tmp_path / "labelled")
    assert_labelled(tmp_path / "labelled", detector)


def test_pickles_hold_no_model():
    batches = DetectorBatches(keep="promo")
    data = pickle.dumps(batches)
    assert len(data) < 1000
    assert pickle.loads(data)(pa.table({"text": [APPEAL]}))["clean"].to_pylist() == [APPEAL]


def test_a_model_that_is_none_is_said_at_once(tmp_path: Path):
    with pytest.raises(ModelError):
        DetectorBatches(model=tmp_path)
