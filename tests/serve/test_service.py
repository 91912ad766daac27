from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading

import httpx
import pytest

from detector import Label
from detector.formats import jsonl
from tests.serve.running import TEXT, read_all, running, status

HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}
PAGE = "The harbour bridge will close on Monday, the port authority said.\n\nSubscribe to our newsletter today."
MARKUP = (
    "<main><p>The harbour bridge will close.</p></main><aside class='newsletter'>Subscribe to our newsletter</aside>"
)


def post(server, path="/label", **request):
    return httpx.post(server.url + path, timeout=60, **request)


def problem(answer) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["status"] == answer.status_code
    assert found["type"]
    assert found["title"]
    return found["detail"]


def same(answer, page, detector, **more) -> bool:
    wanted = jsonl.labelled_record(page, detector.model.name)
    return answer.json() == json.loads(json.dumps({**wanted, **more}))


def test_text_gets_the_command_lines_record(server, detector):
    answer = post(server, content=PAGE, headers=TEXT)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert same(answer, detector.label(PAGE), detector)


def test_html_gets_the_same_labels_as_in_python(server, detector):
    assert same(post(server, content=MARKUP, headers=HTML), detector.label_html(MARKUP), detector)


def test_the_charset_of_the_header_counts(server):
    for media in ("text/plain", "text/html"):
        headers = {"Content-Type": f"{media}; charset=windows-1251"}
        answer = post(server, content="<p>Мост закрыт".encode("cp1251"), headers=headers)
        assert answer.json()["text"].endswith("Мост закрыт")


def test_json_holds_text_or_html_and_other_fields_pass_through(server, detector):
    record = {"id": 7, "url": "https://example.org/a", "text": PAGE, "lang": "en", "model": "mine", "error": None}
    answer = post(server, json=record)
    passed = {"id": 7, "lang": "en", "input": {"model": "mine", "error": None}, "url": "https://example.org/a"}
    assert same(answer, detector.label(PAGE), detector, **passed)
    answer = post(server, json={"id": "b", "html": MARKUP})
    assert same(answer, detector.label_html(MARKUP), detector, id="b", html=MARKUP)


def test_the_text_of_the_labels_to_keep_comes_back(server, detector):
    page = detector.label(PAGE)
    assert post(server, json={"text": PAGE, "keep": "promo"}).json()["kept"] == page.keep("promo")
    assert post(server, json={"text": PAGE, "keep": ["promo", "editorial"]}).json()["kept"] == PAGE
    query = {"keep": [label.value for label in Label]}
    assert post(server, content=PAGE, headers=TEXT, params=query).json()["kept"] == PAGE
    assert "kept" not in post(server, content=PAGE, headers=TEXT).json()


def test_reasons_come_when_asked_for(server, detector):
    page = detector.label(PAGE)
    paragraphs = post(server, content=PAGE, headers=TEXT, params={"explain": 1}).json()["paragraphs"]
    for paragraph, explanation in zip(paragraphs, detector.explain_page(page), strict=True):
        assert paragraph["reason"] == explanation.sentence()
        assert [reason["what"] for reason in paragraph["reasons"]] == [reason.what for reason in explanation.reasons]


def test_reasons_of_a_page_of_too_many_paragraphs_are_refused(server):
    answer = post(server, content="A line.\n\n" * 1_001, headers=TEXT, params={"explain": 1})
    assert answer.status_code == 422
    assert "1,001 paragraphs" in problem(answer)


@pytest.fixture(scope="module")
def patient():
    """A server that gives a page ten seconds, whatever else the machine does."""
    with running("--timeout", "10", workers=1) as started:
        yield started


@pytest.mark.parametrize("tags", ["<div>", "<div/>", "<DIV class='<'>", "<p><span>", "<svg><g>", "<table><tr><td>"])
def test_html_nested_however_deeply_is_labelled(patient, tags):
    html = tags * 100_000 + "The council met on Tuesday."
    assert len(post(patient, content=html, headers=HTML).json()["paragraphs"]) <= 1
    assert post(patient, json={"html": html}).status_code == 200


@pytest.mark.parametrize("attribute", ["a{}", "a{}='>'", 'a{}="<"'])
def test_an_element_of_any_number_of_attributes_is_labelled(patient, attribute):
    html = "<a " + " ".join(attribute.format(i) for i in range(100_000)) + ">word</a>"
    assert len(post(patient, content=html, headers=HTML).json()["paragraphs"]) == 1


def test_html_of_many_tags_side_by_side_is_taken(server):
    html = "<ul>" + "<li><b>word</b> <img src=a><br/><svg><g><path d='' /></g></svg>" * 6_000 + "</ul>"
    assert len(post(server, content=html, headers=HTML).json()["paragraphs"]) == 6_000


def test_a_page_of_too_many_paragraphs_is_refused(server):
    answer = post(server, content="A.\n" * 100_001, headers=TEXT)
    assert answer.status_code == 422
    assert "100,001 paragraphs" in problem(answer)


def test_a_page_without_text_has_no_paragraphs(server):
    for headers in (TEXT, HTML):
        assert post(server, content=b"", headers=headers).json()["paragraphs"] == []


def test_lone_surrogates_and_control_characters_come_back(server):
    text = "A\x00b \ud800 c"
    answer = post(server, content=json.dumps({"text": text}), headers=JSON)
    assert answer.json()["text"] == text


@pytest.mark.parametrize(
    ("body", "headers", "code", "hint"),
    [
        (b"x", {}, 415, "text/plain"),
        (b"x", {"Content-Type": "image/png"}, 415, "image/png"),
        (b"x", {"Content-Type": "text/plain; charset=klingon"}, 415, "klingon"),
        (b"x", {"Content-Type": "text/html; charset=base64"}, 415, "base64"),
        (b"{}", {"Content-Type": "application/json; charset=latin-1"}, 415, "UTF-8"),
        (b"x", {**TEXT, "Content-Encoding": "gzip"}, 415, "gzip"),
        (b"caf\xe9", {"Content-Type": "text/plain; charset=utf-8"}, 400, "byte 3"),
        (b"a\x00b", TEXT, 400, "NUL"),
        (b"{", JSON, 400, "not JSON"),
        (b"", JSON, 400, "not JSON"),
        (b'{"text": "caf\xe9"}', JSON, 400, "UTF-8"),
        (b'{"text": "a", "n": NaN}', JSON, 400, "NaN"),
        (b"[1]", JSON, 400, "object"),
        (b"[" * 100_000, JSON, 400, "not JSON"),
        (b'{"text": "a", "b": ' + b"[" * 70 + b"]" * 70 + b"}", JSON, 422, "64"),
        (b"{}", JSON, 422, "text and html"),
        (b'{"text": "a", "html": "b"}', JSON, 422, "text and html"),
        (b'{"text": 1}', JSON, 422, "string"),
        (b'{"text": "a", "keep": "ads"}', JSON, 422, "editorial"),
        (b'{"text": "a", "keep": [1]}', JSON, 422, "editorial"),
    ],
)  # fmt: skip
def test_what_cannot_be_labelled_gets_the_status_that_says_why(server, body, headers, code, hint):
    answer = post(server, content=body, headers=headers)
    assert answer.status_code == code
    assert hint in problem(answer)


@pytest.mark.parametrize("query", ["explain=maybe", "keep=ads", "explian=1"])
def test_a_query_that_is_not_known_is_refused(server, query):
    for path, headers in (("/label", TEXT), ("/label/batch", LINES)):
        answer = post(server, path + "?" + query, content="x", headers=headers)
        assert answer.status_code == 422
        assert problem(answer)


def test_unknown_routes_and_methods(server):
    assert "/openapi.json" in problem(httpx.get(server.url + "/labels"))
    for path in ("/label", "/label/batch"):
        answer = httpx.get(server.url + path)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"
        assert problem(answer)
    assert httpx.post(server.url + "/healthz").status_code == 405
    assert httpx.get(server.url + "/label/").status_code == 404


def test_a_batch_answers_line_by_line_and_bad_lines_in_place(server, detector):
    good = {"id": "a", "text": PAGE}
    lines = [json.dumps(good), "no json", "", '{"id": "c", "txt": ""}', '{"id": "d", "html": "<p>Hello"}', "[" * 10_000]
    answer = post(server, "/label/batch", content="\r\n".join(lines), headers=LINES)
    records = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert len(records) == 5
    assert records[0] == json.loads(
        jsonl.dump({**jsonl.labelled_record(detector.label(PAGE), detector.model.name), "id": "a"})
    )
    assert [(record["id"], record["line"], record["error"]["status"]) for record in records if "error" in record] == [
        (None, 2, 400),
        ("c", 4, 422),
        (None, 6, 400),
    ]
    assert records[3]["text"] == "Hello"


def test_a_batch_keeps_order_and_count_over_many_lines(server):
    lines = [json.dumps({"id": str(i), "text": f"Line {i}. " * (i % 50)}) if i % 7 else "bad" for i in range(2_000)]
    answer = post(server, "/label/batch?keep=editorial", content="\n".join(lines) + "\n", headers=LINES)
    records = [json.loads(line) for line in answer.text.splitlines()]
    assert [record.get("line") or int(record["id"]) + 1 for record in records] == list(range(1, 2_001))
    assert sum("error" in record for record in records) == len(range(0, 2_000, 7))
    assert all("kept" in record for record in records if "error" not in record)


def test_a_line_that_is_too_long_costs_only_itself(server):
    lines = [b'{"text": "a"}', b'{"text": "' + b"a" * (1 << 20) + b'"}', b'{"text": "b"}']
    answer = post(server, "/label/batch", content=b"\n".join(lines), headers=LINES)
    records = [json.loads(line) for line in answer.text.splitlines()]
    assert [record.get("text") or record["error"]["status"] for record in records] == ["a", 413, "b"]


def test_a_batch_is_answered_while_it_is_still_being_sent(server):
    with server.connect() as connection:
        connection.sendall(batch_head())
        for number in range(3):
            connection.sendall(chunk(b'{"id": "%d", "text": "The bridge is closed."}\n' % number))
            received = b""
            while b'"id": "%d"' % number not in received:
                received += connection.recv(1 << 16)
        connection.sendall(b"0\r\n\r\n")
        assert read_all(connection).endswith(b"0\r\n\r\n")


def test_a_batch_that_stalls_ends_with_an_error_for_the_line_to_come(server):
    answer = server.exchange(batch_head() + chunk(b'{"text": "The bridge is closed."}\n{"te'))
    assert status(answer) == 200
    assert b'"line": 2, "error"' in answer
    assert b'"status": 408' in answer
    assert answer.endswith(b"0\r\n\r\n")


def batch_head() -> bytes:
    return (
        b"POST /label/batch HTTP/1.1\r\nHost: here\r\nContent-Type: application/x-ndjson\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_health_and_readiness(server):
    assert httpx.get(server.url + "/healthz").text == "ok\n"
    assert httpx.get(server.url + "/readyz").text == "ready\n"


def counts(server) -> dict[str, float]:
    answer = httpx.get(server.url + "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {name: float(value) for name, value in re.findall(r"^(\w[^ ]*) (\S+)$", answer.text, re.MULTILINE)}


def test_the_workers_counts_add_up():
    with running(workers=2) as server:

        def ask() -> None:
            with httpx.Client() as client:
                for _ in range(25):
                    client.post(server.url + "/label", content=PAGE, headers=TEXT)

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        post(server, "/label/batch", content="bad", headers=LINES)
        found = counts(server)
    assert found["detector_pages_total"] == 100
    assert found['detector_requests_total{route="/label",status="200"}'] == 100
    assert found['detector_failed_lines_total{status="400"}'] == 1
    assert found["detector_characters_total"] == 100 * len(PAGE)
    assert sum(count for name, count in found.items() if name.startswith("detector_paragraphs_total")) == 200
    assert found["detector_batch_pages_sum"] == 101


def test_where_a_token_is_asked_for(tmp_path):
    (tmp_path / "token").write_text("håndfast\n", encoding="utf-8")
    with running("--token-file", str(tmp_path / "token"), workers=1) as server:
        assert "Authorization" in server.greeting
        assert "håndfast" not in server.greeting
        for path, method in (("/label", "POST"), ("/label/batch", "POST"), ("/metrics", "GET")):
            answer = httpx.request(method, server.url + path, headers=TEXT, content="x")
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert problem(answer)
        for given in ("Bearer wrong", "Basic håndfast", "Bearer", ""):
            headers = {**TEXT, "Authorization": given.encode()}
            assert post(server, content="x", headers=headers).status_code == 401
        headers = {**TEXT, "Authorization": "Bearer håndfast".encode()}
        assert post(server, content="x", headers=headers).status_code == 200
        for path in ("/", "/healthz", "/readyz", "/openapi.json"):
            assert httpx.get(server.url + path).status_code == 200


def test_the_token_may_come_from_the_environment():
    with running(workers=1, DETECTOR_TOKEN="secret") as server:
        assert post(server, content="x", headers=TEXT).status_code == 401
        assert post(server, content="x", headers={**TEXT, "Authorization": "Bearer secret"}).status_code == 200


def refuse(*options: str) -> str:
    command = [sys.executable, "-m", "detector.cli", "serve", *options]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "200"})
    assert ran.returncode != 0
    assert "Traceback" not in ran.stderr
    return ran.stderr


def test_what_it_cannot_start_with_is_told_in_one_line(server, tmp_path):
    port = str(server.address[1])
    assert (
        refuse("--port", port)
        == f"detector: 127.0.0.1:{port}: cannot listen there: Address already in use; name another with --port\n"
    )
    assert str(tmp_path) in refuse("--model", str(tmp_path))
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    assert "is empty" in refuse("--token-file", str(tmp_path / "empty"))


def test_a_missing_extra_is_told_with_the_command_that_brings_it():
    code = (
        "import sys; sys.modules['starlette.applications'] = None\n"
        "from detector.cli import main; sys.argv = ['detector', 'serve']; main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "pip install 'banner-detector[serve]'" in " ".join(ran.stderr.split())


def test_it_listens_on_this_machine_alone_and_logs_no_text():
    with running(workers=1) as server:
        assert server.address[0] == "127.0.0.1"
        post(server, content=PAGE, headers=TEXT)
        post(server, content="{ Secret words", headers=JSON)
        server.terminate()
        assert server.wait() == (0, "")
