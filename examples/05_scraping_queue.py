"""A queue of pages to fetch: each page names others, and each is fetched once, by whichever worker is free.

A small web server of its own stands in for the web. Run it: python examples/05_scraping_queue.py
"""

import re
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from taskmesh import TaskMesh

mesh = TaskMesh("scraping", embedded="private")
PAGES = 60


@mesh.task(queue="pages", expires="10m")
def scrape(url: str) -> tuple[str, list[str], int]:
    """Fetch a page; return its address, the addresses it names, and how many words it has."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode()
    base = url.rpartition("/")[0]
    return url, [base + path for path in re.findall(r'href="([^"]+)"', text)], len(text.split())


class Site(BaseHTTPRequestHandler):
    """Pages numbered from 1; page n names pages 2n and 2n + 1."""

    def do_GET(self) -> None:
        number = int(self.path.strip("/"))
        named = [n for n in (2 * number, 2 * number + 1) if n <= PAGES]
        body = " ".join([f"page {number}", *(f'<a href="/{n}">next</a>' for n in named)]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def crawl(start: str) -> dict[str, int]:
    """Fetch everything that can be reached, and return the words of each page."""
    words: dict[str, int] = {}
    known = {start}
    waiting = scrape.map([start])
    while len(waiting):
        found = []
        for done in waiting.as_completed(timeout=60):
            url, links, count = done.get()
            words[url] = count
            found += [link for link in links if link not in known]
            known.update(links)
        waiting = scrape.map(dict.fromkeys(found))
    return words


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with mesh.workers(2, queues=("pages",)):
        words = crawl(f"http://127.0.0.1:{server.server_port}/1")
    print(f"{len(words)} pages, {sum(words.values())} words")
    server.shutdown()
    mesh.close()
