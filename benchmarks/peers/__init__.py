"""The servers that are measured, each at the best settings that we know of."""

from __future__ import annotations

from benchmarks.peer import Peer
from benchmarks.peers import bentoml, digits, hello, litserve, mlserver, mosec, naive, pytriton, ray

OWN = (*hello.PEERS, *digits.PEERS)
OTHERS = (*mosec.PEERS, naive.FAST, *bentoml.PEERS, *litserve.PEERS, *mlserver.PEERS, *ray.PEERS, *pytriton.PEERS)
ON_REQUEST = (naive.NAIVE,)


def choose(names: list[str]) -> list[Peer]:
    """Return the peers of these names, "own" and "all" among them. Raises `ValueError` for any other."""
    known = {peer.name: peer for peer in (*OWN, *OTHERS, *ON_REQUEST)}
    groups = {"own": OWN, "all": (*OWN, *OTHERS)} | {name: (peer,) for name, peer in known.items()}
    for name in names:
        if name not in groups:
            raise ValueError(f"there is no peer {name!r}, but {', '.join(groups)}")
    return list({peer.name: peer for name in names for peer in groups[name]}.values())
