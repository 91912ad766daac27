from __future__ import annotations

import asyncio
import pickle
import queue
import subprocess
import sys
import threading
from concurrent.futures import Future
from functools import partial

import numpy as np
import pytest

from detector import Detector, Page, segment
from detector.microbatch import MicroBatcher
from training.corpus import read_own_pages

TEXTS = [document.text for document in read_own_pages()][:120]


def same(page, other):
    return page.text == other.text and page.labels == other.labels and np.allclose(page.scores, other.scores, atol=1e-4)


def hold(batcher):
    """Keep the batcher's thread busy until the event is set."""
    begun, go_on = threading.Event(), threading.Event()

    def read() -> Page:
        begun.set()
        assert go_on.wait(60)
        return segment("held")

    held = batcher.submit(read)
    begun.wait()
    return held, go_on


def test_concurrent_calls_get_their_own_pages(detector):
    async def main():
        return await asyncio.gather(*map(detector.alabel, TEXTS))

    for text, labelled in zip(TEXTS, asyncio.run(main()), strict=True):
        assert same(labelled, detector.label(text))


def test_html_is_read_as_by_the_call_that_waits(detector):
    async def main():
        return await detector.alabel_html("<p>Café".encode(), "https://site.example/", "latin-1")

    labelled = asyncio.run(main())
    assert (labelled.text, labelled.url) == ("CafÃ©", "https://site.example/")
    assert same(labelled, detector.label_html("<p>CafÃ©"))


def test_the_event_loop_goes_on_while_pages_are_labelled(detector):
    turns = 0

    async def main():
        with MicroBatcher(detector) as batcher:
            _, go_on = hold(batcher)
            waiting = asyncio.ensure_future(batcher.label(partial(segment, "x")))
            nonlocal turns
            while turns < 10:
                await asyncio.sleep(0)
                turns += 1
            assert not waiting.done()
            go_on.set()
            return await waiting

    assert asyncio.run(main()).text == "x"


def test_pages_that_come_while_it_is_busy_are_one_batch(detector, monkeypatch):
    sizes = []
    label_pages = Detector.label_pages

    def counted(self, pages):
        sizes.append(len(pages))
        return label_pages(self, pages)

    monkeypatch.setattr(Detector, "label_pages", counted)
    with MicroBatcher(detector) as batcher:
        _, go_on = hold(batcher)
        for _ in range(20):
            batcher.submit(partial(segment, "The council met."))
        go_on.set()
    assert sizes == [21]


def test_several_loops_and_threads_share_a_batcher(detector):
    results: dict[int, list[Page]] = {}

    def crawl(number):
        async def main():
            return await asyncio.gather(*map(detector.alabel, TEXTS[number::4]))

        results[number] = asyncio.run(main())

    threads = [threading.Thread(target=crawl, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, pages in results.items():
        assert [page.text for page in pages] == TEXTS[number::4]
    assert len(results) == 4


def test_an_error_goes_to_its_caller_alone(detector):
    async def main():
        calls = [detector.alabel("one"), detector.alabel(7), detector.alabel("two")]
        return await asyncio.gather(*calls, return_exceptions=True)

    one, error, two = asyncio.run(main())
    assert (one.text, two.text) == ("one", "two")
    assert isinstance(error, TypeError | AttributeError)


def test_a_page_that_cannot_be_labelled_costs_its_batch_nothing(detector):
    good = segment("The council met.")
    broken = Page("short", np.array([0]), np.array([4, 5]), good.indents, good.blanks)
    with MicroBatcher(detector) as batcher:
        _, go_on = hold(batcher)
        futures = [batcher.submit(lambda page=page: page) for page in (good, broken, good)]
        go_on.set()
    assert isinstance(futures[1].exception(60), ValueError | IndexError)
    assert [same(futures[i].result(), detector.label(good.text)) for i in (0, 2)] == [True, True]


def test_what_is_cancelled_before_its_turn_is_not_read(detector):
    read = []
    with MicroBatcher(detector) as batcher:
        _, go_on = hold(batcher)

        async def give_up():
            call = asyncio.ensure_future(batcher.label(lambda: read.append(1) or segment("x")))
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

        asyncio.run(give_up())
        after = batcher.submit(partial(segment, "after"))
        go_on.set()
        assert after.result().text == "after"
    assert read == []


def test_closing_labels_what_waits_and_refuses_more(detector):
    batcher = MicroBatcher(detector)
    futures = [batcher.submit(partial(segment, text)) for text in TEXTS]
    batcher.close()
    assert all(future.done() for future in futures)
    assert [future.result().text for future in futures] == TEXTS
    assert batcher.seconds > 0
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit(partial(segment, "late"))


def test_beyond_the_limit_pages_are_refused_until_there_is_room(detector):
    with MicroBatcher(detector, limit=3) as batcher:
        _, go_on = hold(batcher)
        waiting: list[Future[Page]] = [batcher.submit(partial(segment, "x")) for _ in range(3)]
        with pytest.raises(queue.Full, match="3 pages wait"):
            batcher.submit(partial(segment, "y"))
        go_on.set()
        assert [future.result().text for future in waiting] == ["x"] * 3
        assert batcher.submit(partial(segment, "y")).result().text == "y"


def test_the_interpreter_ends_when_the_last_page_is_labelled():
    code = (
        "from functools import partial\n"
        "from detector import Detector, segment\n"
        "from detector.microbatch import MicroBatcher\n"
        "batcher = MicroBatcher(Detector.load())\n"
        "for i in range(200):\n"
        "    batcher.submit(partial(segment, f'{i}')).add_done_callback(lambda f: print(f.result().text, flush=True))\n"
    )
    ran = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str(i) for i in range(200)]
    assert ran.stderr == ""


def test_a_thread_ends_with_its_batcher(detector):
    batcher = MicroBatcher(detector)
    batcher.submit(partial(segment, "x")).result()
    [thread] = batcher._thread._threads
    del batcher
    thread.join()
    assert not thread.is_alive()


def test_a_detector_that_was_awaited_can_still_be_sent_to_another_process(detector):
    asyncio.run(detector.alabel("x"))
    copy = pickle.loads(pickle.dumps(detector))
    assert same(copy.label(TEXTS[0]), detector.label(TEXTS[0]))


def test_a_forked_process_is_told_that_the_thread_is_not_there():
    code = (
        "import asyncio, os\n"
        "from detector import Detector\n"
        "detector = Detector.load()\n"
        "asyncio.run(detector.alabel('x'))\n"
        "if os.fork() == 0:\n"
        "    asyncio.run(detector.alabel('y'))\n"
        "os.wait()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "RuntimeError: this batcher's thread was left behind by a fork" in ran.stderr
