from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx

from detector import Label, __version__
from tests.serve.running import running

ROOT = Path(__file__).parent.parent.parent


def test_schemathesis_finds_nothing(tmp_path):
    tool = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    # Its own folder is where it leaves what it found.
    hooks = {"SCHEMATHESIS_HOOKS": "tests.serve.schema_hooks", "PYTHONPATH": str(ROOT)}
    with running(workers=1) as server:
        command = [tool, "run", server.url + "/openapi.json", "--max-examples", "25", "--seed", "1", "--no-color"]
        ran = subprocess.run(command, cwd=tmp_path, env=os.environ | hooks, capture_output=True, text=True, check=False)
        assert server.still_serves()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "No issues found" in ran.stdout


def describe(server):
    return httpx.get(server.url + "/openapi.json").json()


def test_the_description_is_of_this_version_and_of_these_labels(server):
    document = describe(server)
    assert document["info"]["version"] == __version__
    assert document["components"]["schemas"]["Label"]["enum"] == list(Label)


def test_its_examples_are_what_the_service_takes(server):
    for media, body in describe(server)["paths"]["/label"]["post"]["requestBody"]["content"].items():
        examples = [example["value"] for example in body.get("examples", {}).values()] or [body["example"]]
        for example in examples:
            data = example if isinstance(example, str) else json.dumps(example)
            answer = httpx.post(server.url + "/label", content=data, headers={"Content-Type": media})
            assert answer.status_code == 200
            assert answer.json()["paragraphs"]
