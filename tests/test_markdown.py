from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from detector.html import parse_html
from detector.labels import Label
from detector.markdown import parse_markdown

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def markdown(html, url="https://news.example/a/b.html", keep=None):
    page = parse_markdown(html, url)
    mask = np.ones(len(page), dtype=bool) if keep is None else np.array(keep)
    return page.keep_markdown_where(mask)


def words(text):
    return "".join(text.split())


def read_back(text):
    """What a Markdown parser reads: all text, and the names of all it found."""
    read, found = [], set()
    for block in PARSER.parse(text):
        found.add(block.type)
        for token in block.children or [block]:
            found.add(token.type)
            read.append(token.content if token.type in ("text", "code_inline", "fence", "code_block") else " ")
    return "".join(read), found


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<h1>One</h1><p>two</p><h3>Three #</h3>", "# One\n\ntwo\n\n### Three \\#"),
        ("<p>a <b>b</b> <em>c</em> <i><strong>d</strong></i>", "a **b** *c* ***d***"),
        ("<p>un<b>frozen</b> “<b>“x”</b>y", "un**frozen** ““x”y"),
        ("<p>see <code>a`b</code> and <kbd>Enter</kbd>", "see ``a`b`` and `Enter`"),
        ("<ul><li>a<ul><li>b<p>c</p></ul><li>d</ul>", "- a\n  - b\n\n    c\n- d"),
        ("<ol start=9><li>a<li>b<ul><li>c</ul></ol>", "9. a\n10. b\n    - c"),
        ("<p>x</p><ol start=2><li>a</ol>", "x\n\n2. a"),
        ("<blockquote><p>a</p><p>b</p></blockquote><p>c", "> a\n>\n> b\n\nc"),
        ("<blockquote><ul><li>a<li>b</ul></blockquote>", "> - a\n> - b"),
        (
            "<pre><code class='language-python'>def f():\n    return 1\n\nf()</code></pre>",
            "```python\ndef f():\n    return 1\n\nf()\n```",
        ),
        ("<pre>a\n```\nb</pre>", "````\na\n```\nb\n````"),
        ("<ul><li>x<pre>a\n b</pre></ul>", "- x\n\n  ```\n  a\n   b\n  ```"),
        ("<table><tr><th>A<th>B<tr><td>1<td>x|y</table>", "| A | B |\n| --- | --- |\n| 1 | x\\|y |"),
        ("<table><tr><td>1<td><td>3<tr><td>4</table>", "1 3\n\n4"),
        ("<table><tr><td>1<td>2<tr><td>3<td>4</table>", "|  |  |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |"),
        ("<p>a<br>b<br>1. c", "a\\\nb\\\n1\\. c"),
        ("<p>a</p><br><p>b</p>", "a\n\nb"),
        ("<a href='../c?d=(1)'>x [y]</a>", "[x \\[y\\]](https://news.example/c?d=%281%29)"),
        ("<a href='//other.example/e f'> x </a>y", "[x](https://other.example/e%20f) y"),
        ("<base href='/sub/'><a href=z>x</a>", "[x](https://news.example/sub/z)"),
        ("<a href='javascript:go()'>x</a> <a name=n>y</a> <a href='http://[bad'>z</a>", "x y z"),
        ("<a href=/p><h2>T</h2><p>u</p></a>", "## [T](https://news.example/p)\n\n[u](https://news.example/p)"),
        (
            "<p>1*2 _x_ a_b &lt;i&gt; \\ &amp;amp; A&amp;B ~z",
            "1\\*2 \\_x\\_ a_b \\<i> \\\\ \\&amp; A&B \\~z",
        ),
    ],
)
def test_what_is_kept_is_written_as_markdown(html, expected):
    assert markdown(html) == expected


@pytest.mark.parametrize(
    "line", ["# a", "- a", "+ a", "> a", "1. a", "2) a", "---", "===", "| - |", ":--|:--", "```", "* a"]
)
def test_a_paragraph_that_looks_like_something_else(line):
    text, found = read_back(markdown(f"<p>{line}</p><p>x<br>{line}</p>"))
    assert words(text) == words(f"{line} x {line}")
    assert found <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special", "hardbreak"}


def test_only_what_is_kept_is_written():
    html = "<h2>Menu</h2><ul><li>a<ul><li>b</ul><li>c</ul><pre>x\ny\nz</pre><p>One<br>two<br>three</p>"
    assert markdown(html, keep=[0, 0, 1, 1, 0, 0, 0, 0, 0, 0]) == "- - b\n- c"
    assert markdown(html, keep=[0, 0, 0, 0, 1, 0, 1, 1, 0, 1]) == "```\nx\nz\n```\n\nOne\n\nthree"
    assert markdown(html, keep=[0] * 10) == ""


def test_links_stay_as_they_are_without_a_base():
    assert markdown("<a href=x>y</a>", url=None) == "[y](x)"


def test_deep_quotes_and_lists():
    text = markdown("<blockquote><ul><li>" * 2_000 + "deep")
    assert text.endswith("deep")
    assert len(text) < 1_000


BLOCKS = ("p", "div", "pre", "br", "ul", "ol", "li", "blockquote", "table", "tr", "td", "th", "h2", "h4", "hr")
TAGS = (*BLOCKS, "b", "i", "em", "a", "code", "span")
PIECES = st.one_of(
    st.sampled_from([f"<{slash}{tag}>" for tag in TAGS for slash in ("", "/")]),
    st.sampled_from(["<a href='x(1)'>", "&amp;", " ", "\n"]),
    st.text(alphabet="ab1.)*_`~#>+-=|[]!<&;\\ \n€é語", max_size=6),
)


@given(st.lists(PIECES, max_size=30).map("".join), st.randoms(use_true_random=False))
def test_a_parser_reads_the_text_that_is_kept(html, random):
    page = parse_markdown(html, "https://news.example/")
    plain = parse_html(html)
    assert (page.text, len(page.blocks)) == (plain.text, len(plain))
    mask = np.array([random.random() < 0.7 for _ in page.blocks], dtype=bool)
    text, _ = read_back(page.keep_markdown_where(mask))
    assert words(text) == words(page.keep_where(mask))


def test_the_detector_cleans_to_markdown(detector):
    html = "<article><h1>Ferry out of service</h1>" + "<p>The council <b>met</b> on Tuesday about the ferry.</p>" * 3
    html += "</article><footer><a href=/imprint>Imprint</a></footer>"
    everything = detector.clean_markdown(html, "https://news.example/", labels=list(Label), min_confidence=0.5)
    assert everything.startswith("# Ferry out of service\n\nThe council **met** on Tuesday")
    assert everything.endswith("[Imprint](https://news.example/imprint)")
    kept = detector.label_html(html).keep()
    assert words(read_back(detector.clean_markdown(html))[0]) == words(kept)
