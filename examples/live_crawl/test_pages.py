"""WARC and WET files become documents, and damaged ones become those before the damage."""

import gzip
import io
import unittest

from pages import document, records, text_of_html
from watch import line


def record(kind, content, **headers):
    """A record as crawlers write it."""
    headers = {"WARC-Type": kind, "Content-Length": len(content), **headers}
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(["WARC/1.0", *lines, "", ""]).encode() + content + b"\r\n\r\n"


def page(address, content, kind="conversion", **headers):
    """A record of a page."""
    return record(kind, content, **{"WARC-Target-URI": address, **headers})


def documents(data):
    """The documents of a file with these bytes."""
    return [it for parts in records(io.BytesIO(data)) if (it := document(*parts)) is not None]


class Pages(unittest.TestCase):
    def test_wet_files_hold_text(self):
        language = {"WARC-Identified-Content-Language": "eng,deu", "WARC-Date": "2024-05-01"}
        wet = record("warcinfo", b"software: x") + page("http://a/", "né\n".encode(), **language)
        wet += page("http://b/", b"WARC/1.0 is no beginning here") + page("http://c/", b" \n")
        first, second = documents(gzip.decompress(gzip.compress(wet)))
        self.assertEqual((first["id"], first["text"]), ("http://a/", "né"))
        self.assertEqual(first["metadata"], {"crawled": "2024-05-01", "lang": "eng"})
        self.assertEqual(second["text"], "WARC/1.0 is no beginning here")

    def test_of_a_warc_file_the_pages_are_taken(self):
        body = "<html><head><title>no</title></head><body><p>One &amp; é<p>two".encode("latin-1")
        fine = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=latin-1\r\n"
        zipped = fine + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(body)
        warc = b"".join(
            page("<http://x/>", content, "response")
            for content in [
                fine + b"\r\n" + body,
                zipped,
                b"HTTP/1.1 404 No\r\nContent-Type: text/html\r\n\r\n<p>gone",
                b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n\x89PNG",
                b"no answer at all",
            ]
        )
        found = documents(warc)
        self.assertEqual([it["text"] for it in found], ["One & é\ntwo"] * 2)
        self.assertEqual(found[0]["id"], "http://x/")

    def test_hidden_parts_are_left_out_even_when_they_never_end(self):
        self.assertEqual(text_of_html("<p>a<script>b()</script>c<nav>d</nav><p>e"), "ac\ne")
        self.assertEqual(text_of_html("<head><title>x<body>seen<form>not"), "seen")

    def test_fault_a_file_that_was_cut_short_says_so_behind_its_whole_pages(self):
        wet = page("http://a/", b"one") + page("http://b/", b"two two two")
        found = []
        with self.assertRaisesRegex(EOFError, "http://b/"):
            for parts in records(io.BytesIO(wet[:-8])):
                found.append(document(*parts))
        self.assertEqual([it["id"] for it in found], ["http://a/"])


class Watching(unittest.TestCase):
    def test_statistics_are_told_in_words(self):
        corpus = {"epoch": 3, "live": 10, "curated": 5, "admitted": 2, "withdrawn": 1}
        self.assertEqual(line(corpus), "epoch 3: 10 pages, 5 kept (50%), +2 -1")
        cuts = {"cut_low": {"perplexity": 9.25}, "cut_high": {"perplexity": 20}}
        group = {"epoch": 3, "group": "eng", "documents": 10, "documents_kept": 5, **cuts}
        self.assertEqual(line(group), "  eng: 5 of 10, cut at 9.2 to 20.0")
        self.assertIsNone(line({"epoch": 3, "group": "eng", "documents": 0}))
