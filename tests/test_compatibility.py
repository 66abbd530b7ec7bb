"""Clients of other model servers find what docs/compatibility.md says, run unchanged against a real server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 14):
    pytest.skip("kserve 0.21, its newest, is for Python before 3.14", allow_module_level=True)

import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from kserve import InferenceRESTClient

from tests import compatibility
from tests.compatibility import DOCUMENT, TABLE, kserve_checks, only_sync, triton_checks
from tests.server import serve

LOCAL = {"close", "plugin", "register_plugin", "unregister_plugin", "generate_request_body", "parse_response_body"}


@pytest.mark.anyio
async def test_the_table_of_clients_is_what_they_get(published: Path) -> None:
    with serve(published) as server:
        made = compatibility.table(await compatibility.ask_all(server.url))
    found = TABLE.search(DOCUMENT.read_text())
    assert found, "the document has no table"
    assert found[0] == made, "python -m tests.compatibility writes it anew"


def methods(client: type) -> set[str]:
    """Return the methods that send a request."""
    return {name for name in dir(client) if not name.startswith("_")} - LOCAL


def test_every_method_of_every_client_is_asked() -> None:
    asked = {check.method for check in triton_checks()}
    assert methods(triton_aio.InferenceServerClient) == asked
    assert methods(triton.InferenceServerClient) == asked | {only_sync().method}
    kserve = {check.method for checks in kserve_checks("").values() for check in checks}
    assert methods(InferenceRESTClient) == kserve
