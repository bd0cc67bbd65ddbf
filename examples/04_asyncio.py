"""Send and wait in an event loop.

Run it: python examples/04_asyncio.py
"""

import asyncio

from taskmesh import TaskMesh

mesh = TaskMesh("loops", embedded="private")


@mesh.task
async def fetch(page: int) -> str:
    await asyncio.sleep(0.001)  # a request to somewhere
    return f"page {page}"


async def main() -> None:
    first = await fetch.adelay(1)
    print(await first)
    handles = [await fetch.adelay(page) for page in range(2, 50)]
    pages = await asyncio.gather(*handles)
    print(f"{len(pages)} more, the last one {pages[-1]}")


if __name__ == "__main__":
    with mesh.workers(2):
        asyncio.run(main())
    mesh.close()
