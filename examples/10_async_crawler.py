"""Many requests at once: `async def` tasks, sent and awaited in an event loop.

A small server of its own stands in for the web. Run it: python examples/10_async_crawler.py
"""

import asyncio

from taskmesh import TaskMesh

mesh = TaskMesh("async-crawler", embedded="private")


@mesh.task
async def head(host: str, port: int, path: str) -> tuple[str, str]:
    """Ask for one page, and return its path and title."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    await writer.drain()
    text = (await reader.read()).decode()
    writer.close()
    return path, text.partition("<title>")[2].partition("</title>")[0]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    path = (await reader.readline()).split()[1].decode()
    await asyncio.sleep(0.01)  # somebody else's slow site
    writer.write(f"HTTP/1.0 200 OK\r\n\r\n<title>about {path}</title>".encode())
    await writer.drain()
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    handles = [await head.adelay("127.0.0.1", port, f"/{n}") for n in range(100)]
    pages = dict(await asyncio.gather(*handles))
    print(f"{len(pages)} pages, among them {pages['/42']!r}")
    server.close()


if __name__ == "__main__":
    with mesh.workers(2):
        asyncio.run(main())
    mesh.close()
