"""What the target of a link says of the text that bears it: the site's own or another's, an article or a section."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urlsplit

_PARTS = re.compile(r"[a-z]+|[0-9]+")
_DIGIT = re.compile(r"[0-9]")
_SCHEMES = frozenset({"javascript", "mailto", "tel", "sms", "whatsapp", "data"})
_SHARED = frozenset({"co", "com", "org", "net", "gov", "ac", "edu"})
"""Second levels under which countries register: ``bbc.co.uk`` is one site, ``co.uk`` is none."""
_SEGMENTS, _MOST_PARTS, _LONGEST_SEGMENT = 2, 6, 40
_DEEPEST, _MOST_HYPHENS, _MOST_FIELDS = 6, 8, 5
_LONGEST = 2_000
"""Characters of a target that are read: what is longer is data."""


def site_of(url: str | None) -> str:
    """The domain under which a URL's site is registered, roughly; empty if there is none."""
    if not url:
        return ""
    try:
        host = urlsplit(url[:_LONGEST]).hostname or ""
    except ValueError:
        return ""
    return domain(host)


@lru_cache(maxsize=1 << 10)
def domain(host: str) -> str:
    """``news.example.co.uk`` to ``example.co.uk``: the last two labels, or three under a shared second level."""
    labels = host.lower().split("@")[-1].split(":")[0].split(".")
    shared = len(labels) > 2 and labels[-2] in _SHARED and len(labels[-1]) == 2
    return ".".join(labels[-3:] if shared else labels[-2:])


def link_tokens(target: str, site: str) -> set[str]:
    """Tokens of a link's ``target`` on a page of ``site`` (empty: not known).

    Where it leads (``link=own``, ``link=away`` with ``away=DOMAIN``), the words of the first two segments of its path
    (``to=newsletter``), how deep it goes and what its last segment looks like (``slug=5``: an article's), and the names
    of its query's fields (``by=utm_source``).
    """
    target = target[:_LONGEST].strip().lower()
    if not target or target.startswith("#"):
        return {"link=#"}
    scheme, colon, _ = target.partition(":")
    if colon and scheme in _SCHEMES:
        return {f"link={scheme}"}
    tokens = set()
    path = target.lstrip("/")
    if "//" in target[:8]:
        host, _, path = target.split("//", 1)[1].partition("/")
        there = domain(host.split("?")[0])
        tokens |= {"link=own"} if there == site else {"link=away" if site else "link=absolute", f"away={there}"}
    else:
        tokens.add("link=own")
    path, _, query = path.partition("#")[0].partition("?")
    _add_path(path, tokens)
    if query:
        tokens.update([f"by={field.split('=')[0][:20]}" for field in query.split("&")[:_MOST_FIELDS] if field])
    return tokens


def _add_path(path: str, tokens: set[str]) -> None:
    """Add what the path of a target says."""
    segments = [segment for segment in path.split("/") if segment]
    tokens.add(f"depth={min(len(segments), _DEEPEST)}")
    for segment in segments[:_SEGMENTS]:
        tokens.update(_segment_tokens(segment[:_LONGEST_SEGMENT]))
    if segments:
        last = segments[-1]
        hyphens = min(last.count("-") + last.count("_"), _MOST_HYPHENS)
        has_digit = _DIGIT.search(last) is not None if last.isascii() else any(map(str.isdigit, last))
        tokens.add(f"slug={hyphens}{'0' * has_digit}")


@lru_cache(maxsize=1 << 12)
def _segment_tokens(segment: str) -> tuple[str, ...]:
    """The words of a segment; those of the first ones are the site's sections, and come again."""
    return tuple([f"to={part}" for part in _PARTS.findall(segment)[:_MOST_PARTS] if len(part) > 1])
