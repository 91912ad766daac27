"""WET files of Common Crawl: the text of whole pages, menus and all, one line a block.

Pass each record's text as it is: the menus around the article help to tell what is what.
"""

import sys
from collections.abc import Iterator
from typing import BinaryIO

from fastwarc.warc import ArchiveIterator, WarcRecordType

from detector import Detector, Page, segment

detector = Detector.load()


def pages(file: BinaryIO) -> Iterator[Page]:
    """The segmented pages of a WET file, gzipped or not, with their addresses."""
    for record in ArchiveIterator(file, record_types=WarcRecordType.conversion):
        text = record.reader.read().decode("utf-8", "replace")
        yield segment(text).with_record(record.record_id, record.headers.get("WARC-Target-URI"), {})


def clean(file: BinaryIO) -> Iterator[tuple[str | None, str]]:
    """Address and editorial text of each page; memory holds one batch at a time."""
    for page in detector.label_stream(pages(file)):
        yield page.url, page.keep("editorial")


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as wet_file:  # FastWARC 2.0 cannot read from a pipe
        for url, text in clean(wet_file):
            print(f"# {url}\n\n{text}\n")
