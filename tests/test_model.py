from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest

from detector import Detector, ModelError, segment
from detector.model import CARD_FILE, WEIGHTS_FILE, Model

PAGES = ["Subscribe now\n\nThe council met on Tuesday.\nIt sat till nine.", "", "語" * 30 + "\nもっと読む"]


def test_a_saved_model_scores_alike(tiny, tiny_folder):
    loaded = Model.load(tiny_folder)
    pages = [segment(text) for text in PAGES]
    for ours, theirs in zip(tiny.model.scores(pages), loaded.scores(pages), strict=True):
        # One page and many are summed in another order.
        assert np.allclose(ours, theirs, atol=1e-6)


def test_few_and_many_n_grams_are_summed_alike(tiny_folder):
    few, many = Model.load(tiny_folder), Model.load(tiny_folder)
    assert len(many.table) == len(many.buckets) + 1  # once widened, the table serves all batches
    pages = [segment(text) for text in PAGES]
    for one, other in zip(few.scores(pages), many.scores(pages), strict=True):
        assert np.allclose(one, other, atol=1e-5)


def test_saving_replaces_a_model_and_leaves_nothing_else(tiny, tiny_folder):
    before = sorted(path.name for path in tiny_folder.iterdir())
    tiny.model.save(tiny_folder)
    assert sorted(path.name for path in tiny_folder.iterdir()) == before == [CARD_FILE, WEIGHTS_FILE]


def change(folder, **values):
    path = folder / CARD_FILE
    card = json.loads(path.read_text())
    for key, value in values.items():
        if value is None:
            del card[key]
        else:
            card[key] = value
    path.write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"format": "something else"}, "not the card of a banner-detector model"),
        ({"format_version": 99}, "format version 99.*upgrade"),
        ({"format_version": 1}, "format version 1, this release reads 2; retrain"),
        ({"labels": "EPBR"}, "its labels are"),
        ({"families": ["word"]}, "its families are"),
        ({"weights_sha256": None}, "lacks weights_sha256"),
        ({"presets": None}, "lacks presets"),
        ({"presets": []}, "presets are not two thresholds"),
        ({"weights_sha256": "0" * 64}, "damaged or of another model"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(tiny_folder, values, says):
    change(tiny_folder, **values)
    with pytest.raises(ModelError, match=says):
        Detector.load(tiny_folder)


def test_truncated_weights_are_refused(tiny_folder):
    path = tiny_folder / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"weights\.npz: damaged"):
        Detector.load(tiny_folder)


@pytest.mark.parametrize("missing", [CARD_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_named(tiny_folder, missing):
    (tiny_folder / missing).unlink()
    with pytest.raises(ModelError, match=missing):
        Detector.load(tiny_folder)


def test_no_folder_and_no_json(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        Detector.load(tmp_path / "nowhere")
    (tmp_path / CARD_FILE).write_text("{")
    with pytest.raises(ModelError, match="not JSON"):
        Detector.load(tmp_path)


class Bomb:
    def __reduce__(self):
        return (print, ("this ran",))


def sign(folder, data):
    """Make the card vouch for ``data``, as whoever forges a model would."""
    import hashlib

    (folder / WEIGHTS_FILE).write_bytes(data)
    change(folder, weights_sha256=hashlib.sha256(data).hexdigest(), weights_bytes=len(data))


def test_loading_never_unpickles(tiny_folder, capsys):
    arrays = dict(np.load(tiny_folder / WEIGHTS_FILE))
    arrays["idf"] = np.array([Bomb()], dtype=object)
    with (tiny_folder / "forged.npz").open("wb") as file:
        np.savez(file, **arrays)
    sign(tiny_folder, (tiny_folder / "forged.npz").read_bytes())
    with pytest.raises(ModelError, match="not the weights of a model"):
        Detector.load(tiny_folder)
    sign(tiny_folder, pickle.dumps(Bomb()))
    with pytest.raises(ModelError, match="not the weights of a model"):
        Detector.load(tiny_folder)
    assert "this ran" not in capsys.readouterr().out


def test_arrays_of_another_shape_are_refused(tiny, tiny_folder):
    dataclasses.replace(tiny.model, idf=tiny.model.idf[:-1]).save(tiny_folder)
    with pytest.raises(ModelError, match="array idf is"):
        Detector.load(tiny_folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dilations", np.array([1, 0, 2, 4, 8, 1])),
        ("dilations", np.array(5)),
        ("buckets", np.array([1.5])),
        ("buckets", np.full(3, 2**21 - 1, dtype=np.int32)),
        ("words", np.array(3, dtype=np.int8)),
        ("temperature", np.zeros(1, dtype=np.float32)),
        ("prior", np.full(4, np.nan, dtype=np.float32)),
    ],
)
def test_arrays_that_prediction_would_trip_over_are_refused(tiny_folder, name, value):
    arrays = dict(np.load(tiny_folder / WEIGHTS_FILE)) | {name: value}
    with (tiny_folder / "forged.npz").open("wb") as file:
        np.savez(file, **arrays)
    sign(tiny_folder, (tiny_folder / "forged.npz").read_bytes())
    with pytest.raises(ModelError, match="not the weights of a model"):
        Detector.load(tiny_folder)


def test_one_array_alone_is_no_model(tiny_folder):
    import io

    data = io.BytesIO()
    np.save(data, np.zeros(3))
    sign(tiny_folder, data.getvalue())
    with pytest.raises(ModelError, match="not the weights of a model"):
        Detector.load(tiny_folder)
