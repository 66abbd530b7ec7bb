"""References: what the HTTP stack costs when there is nothing to do."""

from __future__ import annotations

from benchmarks.peer import Exchange, Peer, get

HELLO = {"hello": Exchange(lambda _: get("/"), None)}


def hello(name: str, *command: str) -> Peer:
    return Peer(name=name, environment="digits", command=command, exchanges=HELLO)


PEERS = (
    hello("hello-asgi", "{python}", "-m", "benchmarks.servers.hello", "1"),
    hello("hello-asgi-2w", "{python}", "-m", "benchmarks.servers.hello", "2"),
    hello(
        "hello-fastapi", "{bin}/uvicorn", "--port", "{port}", "--no-access-log", "--log-level", "warning",
        "--factory", "benchmarks.servers.hello_fastapi:create_app",
    ),
)  # fmt: skip
