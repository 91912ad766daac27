"""The page at /, in a real browser."""

from __future__ import annotations

import shutil
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

from detector import Label
from tests.serve.running import running

PAGE = """Home   News   Sport   Log in

Lighthouse keeper retires after forty years

The keeper of the lighthouse handed over the keys on Friday. The lamp, he said, had failed him only twice.

Dear readers, without your help we could not tell these stories. Please donate today and keep our newsroom free.

Read more: The history of the northern lighthouse
Read more: Ten islands to see before winter

© Island Post. All rights reserved."""
NASTY = "<img src=x onerror='document.title=1'> & " + "longword" * 60


@pytest.fixture(scope="module")
def chromium():
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert found, "these tests need a browser: apt-get install chromium"
    with sync_playwright() as playwright:
        # A root user's browser has no sandbox; it opens nothing but this service.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, server):
    """Opens the page; in the end no other host was asked for anything, and nothing went wrong inside."""
    contexts, hosts, wrong = [], set(), []

    def open_page(url=server.url, width=1200, **options):
        context = chromium.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or "data"))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if "Security" in message.text else None)
        page.goto(url + "/")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert hosts <= {"127.0.0.1", "data"}
    assert wrong == []


def paste(page, text: str) -> None:
    page.locator("#input").focus()
    page.keyboard.insert_text(text)


def rows(page):
    return page.locator("#page > li")


def test_a_pasted_page_is_seen_in_colour(opened, server):
    page = opened()
    paste(page, PAGE)
    page.get_by_role("button", name="Label it").click()
    expect(rows(page)).to_have_count(7)
    wanted = httpx.post(server.url + "/label", content=PAGE.encode(), headers={"Content-Type": "text/plain"}).json()
    for row, paragraph in zip(rows(page).all(), wanted["paragraphs"], strict=True):
        assert row.locator("p").inner_text() == wanted["text"][paragraph["start"] : paragraph["end"]]
        assert row.locator("b").inner_text() == f"{paragraph['label']} {round(100 * paragraph['confidence'])} %"
    present = {paragraph["label"] for paragraph in wanted["paragraphs"]}
    assert len(present) >= 3
    looks = {label: look(page, label) for label in present}
    assert len({colour for colour, _ in looks.values()}) == len(present)
    assert len({pattern for _, pattern in looks.values()}) == len(present), "colour alone would tell them apart"


def look(page, label: str) -> tuple[str, str]:
    mark = page.locator(f"#page > li.{label} .mark").first
    return tuple(mark.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).backgroundImage]"))


def test_a_paragraph_under_the_pointer_shows_its_reason(opened, server):
    page = opened()
    paste(page, PAGE)
    page.get_by_role("button", name="Label it").click()
    reasons = httpx.post(
        server.url + "/label?explain=1", content=PAGE.encode(), headers={"Content-Type": "text/plain"}
    ).json()["paragraphs"]
    for number in (3, 5):
        rows(page).nth(number).hover()
        expect(page.locator("#why")).to_contain_text(f"Why {reasons[number]['label']}?")
        expect(page.locator("#why")).to_contain_text(reasons[number]["reason"])
    page.locator("h1").hover()
    expect(page.locator("#why")).to_contain_text(reasons[0]["reason"])


def test_all_of_it_works_from_the_keyboard(opened):
    page = opened()
    press(page, "Tab", until="#input")
    page.keyboard.insert_text(PAGE)
    page.keyboard.press("Control+Enter")
    expect(rows(page)).to_have_count(7)
    press(page, "Tab", until="#page > li")
    why = page.locator("#why")
    expect(why).to_contain_text(f"Why {rows(page).nth(0).get_attribute('class').split()[0]}?")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    focused = page.locator("#page > li:focus")
    expect(focused).to_have_attribute("data-index", "5")
    expect(focused).to_have_attribute("aria-selected", "true")
    assert focused.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
    expect(why).to_contain_text("Why related-links?")
    press(page, "Shift+Tab", until="#legend .boilerplate")
    page.keyboard.press("Space")
    expect(page.locator("#page > li.boilerplate").first).to_be_hidden()
    expect(page.locator("#page > li.related-links").first).to_be_visible()


def press(page, key: str, until: str) -> None:
    for _ in range(20):
        page.keyboard.press(key)
        if page.locator(f"{until}:focus").count():
            return
    raise AssertionError(f"{key} never comes to {until}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_room_for_it(opened, scheme):
    page = opened(width=375, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    paste(page, PAGE + "\n\n" + NASTY)
    page.get_by_role("button", name="Label it").click()
    expect(rows(page)).to_have_count(8)
    rows(page).last.click()
    expect(page.locator("#why")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == 375


def test_a_pasted_page_cannot_act(opened):
    page = opened()
    paste(page, NASTY)
    page.get_by_text("Text", exact=True).click()
    page.get_by_role("button", name="Label it").click()
    expect(rows(page).locator("p")).to_have_text(NASTY)
    assert page.title() == "banner-detector"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(opened, scheme):
    page = opened(color_scheme=scheme)
    page.get_by_role("button", name="Example").click()
    expect(rows(page).first).to_be_visible()
    assert {row.get_attribute("class").split()[0] for row in rows(page).all()} == set(Label)
    least = page.evaluate(LEAST_CONTRAST)
    assert least["ratio"] >= 4.5, least


LEAST_CONTRAST = """() => {
  const parse = (colour) => (colour.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const colour = parse(getComputedStyle(element).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const worded = [...document.body.querySelectorAll("*")].filter((e) =>
    e.checkVisibility() && !["SCRIPT", "STYLE"].includes(e.tagName) &&
    [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()));
  return worded.map((e) => {
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    return { ratio: (a + 0.05) / (b + 0.05), words: e.textContent.slice(0, 40) };
  }).reduce((x, y) => (x.ratio < y.ratio ? x : y));
}"""


def test_html_is_told_from_text(opened):
    page = opened()
    paste(page, "<main><p>The lighthouse stands in the north.</p></main>")
    page.get_by_role("button", name="Label it").click()
    expect(rows(page).locator("p")).to_have_text("The lighthouse stands in the north.")
    expect(page.locator("#said")).to_contain_text("read as HTML")


def test_what_goes_wrong_is_told(opened):
    page = opened()
    paste(page, "a" * (1 << 20) + "b")
    page.get_by_role("button", name="Label it").click()
    expect(page.get_by_role("alert")).to_have_text("a body may have 1 MB at most")
    page.locator("#input").fill(PAGE)
    page.context.set_offline(True)
    page.get_by_role("button", name="Label it").click()
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    page.context.set_offline(False)
    page.get_by_role("button", name="Label it").click()
    expect(rows(page)).to_have_count(7)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_token_is_asked_for_where_it_is_needed(opened):
    with running(workers=1, DETECTOR_TOKEN="secret") as guarded:
        page = opened(guarded.url)
        expect(page.get_by_label("Token")).to_be_hidden()
        paste(page, PAGE)
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("alert")).to_have_text("This service asks for a token.")
        expect(page.get_by_label("Token")).to_be_focused()
        page.keyboard.insert_text("secret")
        page.keyboard.press("Enter")
        expect(rows(page)).to_have_count(7)


def test_the_page_needs_nothing_from_outside(server):
    answer = httpx.get(server.url + "/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
