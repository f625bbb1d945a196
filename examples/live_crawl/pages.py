"""Pages of a crawl as JSON lines for `riffle feed -`: from WARC and WET files, compressed or not.

    python3 pages.py CC-MAIN-….wet.gz | riffle feed -

A page's id is its address, so the page crawled again replaces itself. WET files hold text. Of a
WARC file's pages the visible text is taken, paragraph by paragraph and nothing cleverer; a corpus
deserves an extractor made for it (trafilatura, resiliparse), in `text_of_html`.
"""

import gzip
import html.parser
import json
import re
import sys

CHARSET = re.compile(rb"charset=[\"']?([A-Za-z0-9_.:-]+)", re.IGNORECASE)
HIDDEN = {"script", "style", "noscript", "template", "svg", "head", "nav", "form"}
LINES = {"p", "div", "li", "tr", "br", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "section"}


def records(file):
    """The records of a WARC file: headers by name in lowercase, and content."""
    while line := file.readline():
        if not line.startswith(b"WARC/"):
            continue
        headers = {}
        while (line := file.readline()).strip():
            name, _, value = line.partition(b":")
            headers[name.strip().lower().decode()] = value.strip().decode(errors="replace")
        size = int(headers["content-length"])
        content = file.read(size)
        if len(content) < size:
            raise EOFError(f"the file ends within the record of {headers.get('warc-target-uri')}")
        yield headers, content


def document(headers, content):
    """The page of a record as a document; None where it is no page or holds no text."""
    kind = headers.get("warc-type")
    if kind == "conversion":
        text = content.decode(errors="replace").strip()
    elif kind == "response":
        text = text_of_response(content)
    else:
        return None
    # Wget writes the address in angle brackets, as the standard's grammar once had it.
    address = headers.get("warc-target-uri", "").strip("<>")
    if not text or not address:
        return None
    metadata = {"crawled": headers.get("warc-date")}
    if language := headers.get("warc-identified-content-language"):
        metadata["lang"] = language.split(",")[0]
    return {"id": address, "text": text, "source": "crawl", "metadata": metadata}


def text_of_response(content):
    """The text of an HTTP answer that is a page and went well, else ""."""
    head, _, body = content.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    fields = {
        name.strip().lower(): value for name, _, value in (it.partition(b":") for it in lines)
    }
    if b" 200" not in status or b"html" not in fields.get(b"content-type", b""):
        return ""
    if b"gzip" in fields.get(b"content-encoding", b""):
        try:
            body = gzip.decompress(body)
        except (OSError, EOFError):
            # Crawlers often keep the field of a body that they have decompressed.
            pass
    charset = CHARSET.search(fields[b"content-type"]) or CHARSET.search(body[:2048])
    try:
        page = body.decode(charset[1].decode() if charset else "utf-8", errors="replace")
    except LookupError:
        page = body.decode(errors="replace")
    return text_of_html(page)


class Text(html.parser.HTMLParser):
    """Gathers the visible text of a page."""

    def __init__(self):
        super().__init__()
        self.parts, self._hidden = [], []

    def handle_starttag(self, tag, attrs):
        """Hides what is in some elements, and begins a line at others."""
        if tag in HIDDEN:
            self._hidden.append(tag)
        elif tag == "body":
            self._hidden.clear()
        elif tag in LINES:
            self.parts.append("\n")

    def handle_endtag(self, tag):
        """Ends what began, also where elements within were never ended."""
        if tag in self._hidden:
            del self._hidden[self._hidden.index(tag) :]
        elif tag in LINES:
            self.parts.append("\n")

    def handle_data(self, data):
        """Keeps visible text."""
        if not self._hidden:
            self.parts.append(data)


def text_of_html(page):
    """The visible text of a page, a paragraph a line."""
    parser = Text()
    parser.feed(page)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.parts).split("\n"))
    return "\n".join(line for line in lines if line)


def documents(path):
    """The pages of a file as documents."""
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rb") as file:
        for headers, content in records(file):
            if (page := document(headers, content)) is not None:
                yield page


if __name__ == "__main__":
    for path in sys.argv[1:]:
        for page in documents(path):
            print(json.dumps(page))
