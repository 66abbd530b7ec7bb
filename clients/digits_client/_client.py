"""`Client` and `AsyncClient`: the sending, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, Unpack, overload

import httpx
from numpy.typing import NDArray

from digits_client._exceptions import Unreachable
from digits_client._images import ImageLike, OneImage
from digits_client._messages import (
    Health,
    Prediction,
    Reading,
    ReadWishes,
    Request,
    Wishes,
    predict_call,
    read_call,
    read_health,
    read_json,
    read_predictions,
    read_readings,
)

URL = "http://localhost:8000"
TIMEOUT = 30.0  # seconds to connect, and between two pieces of an answer

HEALTH = Request("GET", "health", {})
MODEL = Request("GET", "model", {})


class Client:
    """Asks a Digits service; close it, or use it as a context manager.

    Further options go to `httpx.Client`: headers, verify, proxy, transport and so on. Every method
    raises `DigitsError`; see there for its kinds.
    """

    def __init__(self, url: str = URL, *, timeout: float = TIMEOUT, **options: Any) -> None:
        self._http = httpx.Client(base_url=base_url(url), timeout=timeout, **options)

    @overload
    def predict(self, images: NDArray[Any], **wishes: Unpack[Wishes]) -> Any: ...  # which depends on the shape
    @overload
    def predict(self, images: OneImage, **wishes: Unpack[Wishes]) -> Prediction: ...  # type: ignore[overload-overlap]  # str is a Sequence
    @overload
    def predict(self, images: Sequence[ImageLike], **wishes: Unpack[Wishes]) -> list[Prediction]: ...
    def predict(
        self, images: ImageLike | Sequence[ImageLike], **wishes: Unpack[Wishes]
    ) -> Prediction | list[Prediction]:
        """Read the digit in an image, or in each of a list.

        An image is a path, the bytes of a file, a NumPy array or a Pillow image. An array of
        (28, 28) is pixels as they are, ink bright; (n, 28, 28) is n images, answered as a list.
        `explain=True` also tells what the network saw; `threshold` is the confidence below which
        an image holds no digit, by default the model's own.
        Besides `DigitsError`, raises `OSError`, `ValueError` and `TypeError` for images that
        cannot be sent.
        """
        call = predict_call(images, **wishes)
        predictions = read_predictions(self._send(call.request), call.names) if call.request else []
        return predictions if call.batch else predictions[0]

    @overload
    def read(self, images: OneImage | NDArray[Any], **wishes: Unpack[ReadWishes]) -> Reading: ...  # type: ignore[overload-overlap]  # str is a Sequence
    @overload
    def read(self, images: Sequence[ImageLike], **wishes: Unpack[ReadWishes]) -> list[Reading]: ...
    def read(self, images: ImageLike | Sequence[ImageLike], **wishes: Unpack[ReadWishes]) -> Reading | list[Reading]:
        """Read the numbers in an image, or in each of a list, line by line.

        `expect` is how many digits each number has, `pattern` what it looks like, such as `[0-9]{4,6}`; then each
        line is the best reading that fits. `boxes` are (left, top, width, height) of places with one number each.
        `threshold` is the confidence below which a digit is None. An array is one picture. Raises what `predict` does.
        """
        call = read_call(images, **wishes)
        readings = read_readings(self._send(call.request), call.names) if call.request else []
        return readings if call.batch else readings[0]

    def health(self) -> Health:
        """Say whether the service can predict, and with what."""
        return read_health(self._send(HEALTH))

    def model(self) -> dict[str, Any]:
        """Return the manifest of the model that is served."""
        return read_json(self._send(MODEL))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _send(self, request: Request) -> httpx.Response:
        try:
            return self._http.request(request.method, request.path, **request.options)
        except httpx.RequestError as exc:
            raise unreachable(self._http.base_url, exc) from exc


class AsyncClient:
    """The same as `Client`, with `await`."""

    def __init__(self, url: str = URL, *, timeout: float = TIMEOUT, **options: Any) -> None:
        self._http = httpx.AsyncClient(base_url=base_url(url), timeout=timeout, **options)

    @overload
    async def predict(self, images: NDArray[Any], **wishes: Unpack[Wishes]) -> Any: ...  # which depends on the shape
    @overload
    async def predict(self, images: OneImage, **wishes: Unpack[Wishes]) -> Prediction: ...  # type: ignore[overload-overlap]  # str is a Sequence
    @overload
    async def predict(self, images: Sequence[ImageLike], **wishes: Unpack[Wishes]) -> list[Prediction]: ...
    async def predict(
        self, images: ImageLike | Sequence[ImageLike], **wishes: Unpack[Wishes]
    ) -> Prediction | list[Prediction]:
        """See `Client.predict`."""
        call = predict_call(images, **wishes)
        predictions = read_predictions(await self._send(call.request), call.names) if call.request else []
        return predictions if call.batch else predictions[0]

    @overload
    async def read(self, images: OneImage | NDArray[Any], **wishes: Unpack[ReadWishes]) -> Reading: ...  # type: ignore[overload-overlap]  # str is a Sequence
    @overload
    async def read(self, images: Sequence[ImageLike], **wishes: Unpack[ReadWishes]) -> list[Reading]: ...
    async def read(
        self, images: ImageLike | Sequence[ImageLike], **wishes: Unpack[ReadWishes]
    ) -> Reading | list[Reading]:
        """See `Client.read`."""
        call = read_call(images, **wishes)
        readings = read_readings(await self._send(call.request), call.names) if call.request else []
        return readings if call.batch else readings[0]

    async def health(self) -> Health:
        """See `Client.health`."""
        return read_health(await self._send(HEALTH))

    async def model(self) -> dict[str, Any]:
        """See `Client.model`."""
        return read_json(await self._send(MODEL))

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def _send(self, request: Request) -> httpx.Response:
        try:
            return await self._http.request(request.method, request.path, **request.options)
        except httpx.RequestError as exc:
            raise unreachable(self._http.base_url, exc) from exc


def base_url(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise Unreachable(f"{url!r} is not an address: {exc}") from exc


def unreachable(url: httpx.URL, exc: httpx.RequestError) -> Unreachable:
    reason = str(exc) or type(exc).__name__
    return Unreachable(f"no answer from {url}: {reason}; is the service running there?")
