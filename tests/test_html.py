from __future__ import annotations

import itertools
import zlib
from itertools import chain

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detector.features import HASH_BITS
from detector.html import decode_html, parse_html
from detector.taming import tame


def texts(html, **kwargs):
    return [paragraph.text for paragraph in parse_html(html, **kwargs).paragraphs]


def test_blocks_are_paragraphs_and_inline_elements_are_not():
    html = "<div>One <b>and</b> <a href='/'>two</a></div><p>Three<br>four</p><section>Five<div>six</div>seven</section>"
    assert texts(html) == ["One and two", "Three", "four", "Five", "six", "seven"]


def test_what_no_reader_sees_is_left_out():
    html = (
        "<head><title>T</title></head><script>var a</script><style>p{}</style><template>no</template><p>yes</p>"
        "<textarea>no</textarea><select><option>no</select><svg><text>no</text></svg>"
    )
    assert texts(html) == ["yes"]


def test_what_is_shown_without_scripts_is_read():
    assert texts("<div id=app></div><noscript><div class=post><p>The first post.</p></div></noscript>") == [
        "The first post."
    ]


def test_hidden_text_is_marked_and_kept():
    page = parse_html(
        "<p>a</p><div hidden><p>b</p></div><p style='display: none'>c</p><p aria-hidden=true>d</p><p>e</p>"
    )
    assert page.markup is not None
    assert [paragraph.text for paragraph in page.paragraphs] == list("abcde")
    assert page.markup.numbers[:, 3].tolist() == [0, 1, 1, 1, 0]


def test_blank_lines_stand_around_paragraphs_and_headings():
    page = parse_html("<h1>Title</h1><ul><li>a<li>b</ul><p>One</p><p>Two</p><div>x</div><div>y</div>")
    assert page.text == "Title\n\n  a\n  b\n\nOne\n\nTwo\n\nx\ny"


def test_lists_are_indented_and_table_rows_are_lines():
    html = "<ul><li>a<ul><li>b</ul><li>c</ul><table><tr><td>1<td>2</tr><tr><th>3<td>4</tr></table>"
    page = parse_html(html)
    assert [int(i) for i in page.indents] == [2, 4, 2, 0, 0]
    assert [" ".join(t.split()) for t in texts(html)] == ["a", "b", "c", "1 2", "3 4"]


def test_the_last_line_of_a_page_is_indented_as_the_others_are():
    assert parse_html("<ul><li>a<li>b").text == "  a\n  b"


def test_preformatted_lines_stay_lines():
    assert texts("<pre>def f():\n    return 1\n\nf()</pre>") == ["def f():", "return 1", "f()"]


def test_link_density_and_places():
    page = parse_html(
        "<aside class='newsletter-signup box'><p>Get it <a href='/'>now</a></p></aside>"
        "<nav id=main><a href=x>Home</a></nav>"
    )
    assert page.markup is not None
    assert page.markup.numbers[:, 0].tolist() == pytest.approx([3 / 8, 1])
    assert "aside.newsletter-signup" in page.markup.places[0]
    assert "nav#main" in page.markup.places[1]


def test_siblings_of_one_shape_are_counted():
    page = parse_html("<ul>" + "<li class=t><a>x</a></li>" * 20 + "</ul><p>y</p>")
    assert page.markup is not None
    assert page.markup.numbers[:20, 2].tolist() == pytest.approx([np.log(20)] * 20)


def test_siblings_are_counted_as_by_hand():
    html = (
        "<ul class=a><li>x<li class=t>y<li class=t id=z>z<li class='t u'>v</ul><ul><li>w</ul><p>p<p>q<p hidden>r"
        "<div><b>s</b><b>t</b></div><div class=''>u</div>"
    )
    numbers = markup_of(html).numbers[:, 2]
    # x: its list item alone, two lists that differ; y and z: two of their class; p, q, r: three; s and t: in two
    # alike divs (an empty class is none), one line with two elements.
    assert np.exp(numbers).round().tolist() == [1, 2, 2, 1, 1, 3, 3, 3, 2, 2]


def test_names_are_read_alike_when_they_were_forgotten(monkeypatch):
    html = "".join(f"<div class='newsBox a{i}' id=i{i}><a href=/to/{i} title='Read {i}'>x</a></div>" for i in range(40))
    expected = said(html)
    monkeypatch.setattr("detector.elements._REMEMBERED", 3)
    assert said(html) == said(html) == expected


def test_the_same_class_has_the_same_buckets_and_distance_tells():
    page = parse_html("<div class=promo>a</div><div class=promo>b</div><div class=promo><div><div>c</div></div></div>")
    assert page.markup is not None
    bags = [
        set(page.markup.buckets[s:e].tolist()) for s, e in zip(page.markup.first, page.markup.first[1:], strict=False)
    ]
    assert bags[0] == bags[1] != bags[2]


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("<p>é".encode(), None, "é"),
        (b"\xef\xbb\xbf<p>\xc3\xa9", None, "é"),
        ("<p>é".encode("utf-16"), None, "é"),
        (b"<meta charset=iso-8859-1><p>\xe9", None, "é"),
        (b"<meta http-equiv=Content-Type content='text/html; charset=windows-1251'><p>\xcf\xf0\xe8", None, "При"),
        (b"<p>\xe9", "latin-1", "é"),
        ("<meta charset=iso-8859-1><p>é".encode(), None, "é"),  # a declaration that lies
        (b"<meta charset=utf-8><p>caf\xc3\xa9 caf\xe9 cr\xe8me br\xfbl\xe9e d\xe9j\xe0 vu", "no-such-charset", "caf"),
    ],
)
def test_encodings(data, charset, text):
    assert texts(data, charset=charset)[0].startswith(text)
    assert isinstance(decode_html(data, charset), str)


@pytest.mark.parametrize(
    "html",
    [
        "",
        " ",
        b"",
        b"\x89PNG\r\n\x1a\n\0\0\0",
        "plain text",
        "<",
        "<p",
        "<script>only</script>",
        "<!doctype html>",
        "\0",
    ],
)
def test_what_is_hardly_html_is_a_page(html):
    page = parse_html(html)
    assert len(page) == len(page.paragraphs)


N = 100_000
HOSTILE = {
    "levels": ("<div>" * N + "x", 1),
    "levels that close": ("<div>" * N + "x" + "</div>" * N + "<p>y", 2),
    "lists": ("<ul><li>" * N + "x" + "</ul>" * N + "y", 2),
    "tables": ("<table><tr><td>" * N + "x", 1),
    "unclosed links": ("<a href=x><div>" * N + "x", 1),
    "stray ends": ("<span>" * N + "</x>" * N + "x", 1),
    "styles never closed": ("".join(f"<p><font color={i}>x</p>" for i in range(5_000)), 5_000),
    "styles misnested": ("<b><i>x</b>" * N, 1),
    "a million attributes": ("<p " + " ".join(f"a{i}=1" for i in range(10 * N)) + ">x", 1),
    "bare attributes": ("<p " + " ".join(f"a{i}" for i in range(N)) + ">x", 1),
    "attributes that hold ends of tags": ("<p " + " ".join(f"a{i}='>'" for i in range(N)) + ">x", 1),
    "attributes that hold tags": ("<p " + " ".join(f'a{i}="<>"' for i in range(10_000)) + " x" * N + ">x", 1),
    "attributes of many": ("".join(f"<b a{i}=1>x</b>" for i in range(N)), 1),
    "names of tags": ("".join(f"<x{i}>x</x{i}>" for i in range(N)), 1),
    "options": ("<select>" + "<option>x" * N + "</select>y", 1),
    "quotes": ('<p a="' * N + '">x', 1),
    "comments": ("x" + "<!--" * N, 1),
    "scripts": ("x" + "<script>" * N, 1),
    "a huge class": ("<p class='" + "ab " * 10 * N + "'>x</p>", 1),
    "a huge id": ("<div id='" + "aB" * 10 * N + "'>" + "<p>x</p>" * 100, 100),
    "a huge style": ("<p style='" + "display " * N + "'>x", 1),
    "a huge script": ("<script>" + "x" * 50 * N + "</script><p>x", 1),
    "signs": ("<" * N, 1),
    "nothing but NUL": ("\0" * N, 0),
    "lone surrogates": ("<p class='\ud83d'>\udc00" * 10, 10),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_are_pages_and_cost_what_others_do(name):
    html, paragraphs = HOSTILE[name]
    assert len(parse_html(html)) == paragraphs


@pytest.mark.parametrize("attribute", ["a{}", "a{}='>'", 'a{}="<>"', 'a{}="\'>"', "a{} = '>'"])
def test_attributes_that_nobody_reads_are_left_out_where_they_are_many(attribute):
    html = "<p " + " ".join(attribute.format(i) for i in range(30_000)) + ">x"
    assert tame(html.encode()) == b"<p>x"
    assert tame(b"<p title='a > b'>x</p>" * 2_000) == b"<p title='a > b'>x</p>" * 2_000


def test_what_is_tamed_reads_the_same():
    html = (
        "<!doctype html><title>a <b></title><script>if (a<b) '</p>'</script><style>p > a {}</style>"
        "<!-- <p>no</p> --><DIV Class='x y' ID=main data-x='<p>'><p title=\"it's >\">One <a href=/a>two</a>"
        "<P class=late hidden>three<br/>four</p><textarea><p>no</textarea><ul><li style='display:none'>five</ul></DIV>"
        "<div/class=z>six</div><div title=/ class=k>seven</div>"
    )
    page, tamed = parse_html(html), parse_html(html + "<!-- -->" * 20_001)
    assert tame(html.encode()) == html.encode()
    assert tamed.text == page.text
    assert page.markup is not None
    assert tamed.markup is not None
    assert tamed.markup.places == page.markup.places
    assert tamed.markup.numbers.tolist() == page.markup.numbers.tolist()
    assert tamed.markup.buckets.tolist() == page.markup.buckets.tolist()


def test_buckets_are_hashes_of_distance_and_token():
    page = parse_html("<div class='newsBox'>x</div>")
    assert page.markup is not None
    at = [[f"{distance} {token}".encode() for token in tokens] for distance, tokens in (
        (0, ["<div", ".newsbox", ".news", ".box"]), (1, ["<body"]), (1, ["<html"]))]  # fmt: skip
    expected = [sorted(zlib.crc32(token) % ((1 << HASH_BITS) - 1) + 1 for token in tokens) for tokens in at]
    assert page.markup.buckets.tolist() == list(chain.from_iterable(expected))


NESTING = ("p", "div", "ul", "li", "table", "tr", "td", "pre", "br", "a", "b", "font", "select", "option", "svg")
SOUP = [f"<{slash}{tag}>" for tag in NESTING for slash in ("", "/")]
SOUP += ["<script>", "</script>", "<!--", "-->", "<p class='a b' id=c role=d hidden", "<td style='display:none'>"]
SOUP += ["x", " ", "\xa0", "\n", "é", "語", "&amp;", "&#0;", '"', "<", ">", "\0", "\ud800"]


@given(st.lists(st.sampled_from(SOUP), max_size=60).map("".join))
@example("<pre>\n \n</pre>")
def test_tag_soup_is_a_page(html):
    page = parse_html(html)
    assert bool(page.text) == bool(len(page))
    assert all(paragraph.text == paragraph.text.strip() != "" for paragraph in page.paragraphs)
    assert "".join(page.text.split()) == "".join("".join(p.text for p in page.paragraphs).split())
    assert page.markup is not None
    assert len(page.markup.places) == len(page.markup.numbers) == len(page)
    assert page.markup.first[-1] == len(page.markup.buckets)
    tamed = parse_html(html + "<!-- -->" * 20_001)
    assert isinstance(tamed.text, str)


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_a_page(data):
    page = parse_html(data)
    assert bool(page.text) == bool(len(page))


@given(st.text(alphabet=st.sampled_from(list("<>/ab pdivul\n \t&;é語=\"'!-")), max_size=200))
def test_spans_cover_everything_but_white_space(html):
    page = parse_html(html)
    position = 0
    for start, end in zip(page.starts.tolist(), page.ends.tolist(), strict=True):
        assert position <= start < end <= len(page.text)
        assert not page.text[position:start].strip()
        position = end
    assert position == len(page.text)
    assert page.markup is not None
    assert len(page.markup.first) == len(page) + 1


def test_labelling_html_names_the_markup(detector):
    html = "<article><h1>Ferry out of service</h1>" + "<p>The council met on Tuesday to discuss the ferry.</p>" * 3
    html += "<aside class='newsletter-signup'><h3>Newsletter</h3><p>Sign up for our newsletter</p></aside></article>"
    page = detector.label_html(html)
    explanations = detector.explain_page(page, most=60)
    kinds = {reason.kind for reason in explanations[-1].reasons}
    assert "markup" in kinds
    named = [reason.what for reason in explanations[-1].reasons if reason.kind == "markup"]
    assert any("aside.newsletter-signup" in what for what in named)


def markup_of(html, url=None):
    return parse_html(html, url).markup


def said(html, url=None):
    markup = markup_of(html, url)
    return [set(markup.buckets[a:b].tolist()) for a, b in itertools.pairwise(markup.first.tolist())]


def test_links_say_where_they_lead():
    page = "<p><a href='{}'>One</a></p>"
    own, away = (
        said(page.format("/a"), "https://example.org/"),
        said(page.format("//example.com/a"), "https://example.org/"),
    )
    assert own != away
    assert own == said(page.format("https://www.example.org/a"), "https://example.org/")
    canonical = "<link rel=canonical href='https://example.org/x'>"
    assert own == said(canonical + page.format("https://example.org/a")), "the page says of which site it is"


def test_fields_are_told_to_their_form():
    with_field = said("<form><p>Sign up</p><input type=email></form><p>After</p>")
    without = said("<form><p>Sign up</p></form><p>After</p>")
    assert with_field[0] > without[0]
    assert with_field[1] == without[1], "what stands outside of the form hears nothing of its field"


def test_attributes_in_words_are_read():
    assert said("<div aria-label='Related articles'><p>x</p></div>")[0] > said("<div><p>x</p></div>")[0]
