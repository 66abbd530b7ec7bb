"""`Client` and `AsyncClient`: names, types and words. What they do is in `_calls`, how they wait in `_drivers`."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Sequence
from typing import Any, Self, TypedDict, Unpack, overload

import httpx
import numpy as np
from numpy.typing import NDArray

from digits_client._answers import Box, Health, Prediction, Reading, read_health, read_json
from digits_client._calls import ask, ask_each, ask_some, persist
from digits_client._drivers import Tasks, Threads, iterate, run
from digits_client._exceptions import Unreachable
from digits_client._images import ImageLike, OneImage
from digits_client._requests import Request, predict_call, read_call, rows_call
from digits_client._retries import Patience
from digits_client._version import __version__

URL = "http://localhost:8000"
TIMEOUT = 30.0  # seconds to connect, and between two pieces of an answer
RETRIES = 4

HEALTH = Request("GET", "health")
READY = Request("GET", "health/ready")
MODEL = Request("GET", "model")
ONCE = Patience(retries=0)


class Wishes(TypedDict, total=False):
    """What a prediction may be asked for beside the digit."""

    explain: bool
    threshold: float | None
    deadline: float | None


class ReadWishes(TypedDict, total=False):
    """What is known of the numbers in an image: how many digits, or what pattern they have, and where they are."""

    expect: int | None
    pattern: str | None
    boxes: Sequence[Box]
    threshold: float | None
    deadline: float | None


class Client:
    """Asks a Digits service; close it, or use it as a context manager. Threads may share one.

    >>> with Client("http://localhost:8000") as client:
    ...     client.predict("seven.png").digit
    7

    Connections are kept. A request whose connection fails, or that is answered 429, 502, 503 or 504, is sent again up
    to `retries` times, after a moment that grows, or as long as the service's `Retry-After` says. `timeout` is in
    seconds, for each wait on the network; None waits for ever. A `deadline` bounds each wait, too, and is looked at
    before each request and whenever some of a body has come; a server that sends its headers byte by byte can thus hold
    a call for longer. An `AsyncClient` breaks off whatever it waits for.

    `api_key` goes out as `Authorization: Bearer …`, for a gateway in front: the service itself knows no keys. Further
    options go to `httpx.Client`: headers, verify, cert, proxy, transport and so on. Every method raises `DigitsError`;
    see there for its kinds.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        api_key: str | None = None,
        timeout: float | None = TIMEOUT,
        retries: int = RETRIES,
        **options: Any,
    ) -> None:
        self._http = httpx.Client(**http_options(url, api_key, options))
        self._timeout = timeout
        self._retries = retries

    @overload
    def predict(self, images: NDArray[Any], **wishes: Unpack[Wishes]) -> Any: ...  # which depends on the shape
    @overload
    def predict(self, images: OneImage, **wishes: Unpack[Wishes]) -> Prediction: ...  # type: ignore[overload-overlap]  # str is iterable
    @overload
    def predict(self, images: Iterable[ImageLike], **wishes: Unpack[Wishes]) -> list[Prediction]: ...
    def predict(
        self,
        images: ImageLike | Iterable[ImageLike],
        *,
        explain: bool = False,
        threshold: float | None = None,
        deadline: float | None = None,
    ) -> Prediction | list[Prediction]:
        """Read the digit in an image, or in each of a list or of what else can be iterated over.

        >>> client.predict(["seven.png", "notes.pdf"])[1].error.code
        'not_an_image'

        An image is a path, the bytes of a file, a file opened in binary mode, a NumPy array or a Pillow image. An
        array of (28, 28) is pixels as they are, ink bright; one of (n, 28, 28) is n images, answered as a list. In a
        list a folder stands for the images in it, and a pattern such as `scans/*.png` for the files that match.

        >>> [prediction.digit for prediction in client.predict(["scans"])]
        [7, 2]

        Many images go out in several requests, some at a time, and are answered in order. `explain=True` also tells
        what the network saw; `threshold` is the presence below which an image holds no digit, by default the
        model's own; `deadline` is in seconds, for the whole call. Besides `DigitsError`, raises `OSError`,
        `ValueError` and `TypeError` for images that cannot be sent.
        """
        call = predict_call(explain=explain, threshold=threshold, deadline=deadline)
        return run(ask(self._driver(), call, images, self._retries))

    def predict_each(
        self, images: ImageLike | Iterable[ImageLike], **wishes: Unpack[Wishes]
    ) -> Generator[Prediction, None, None]:
        """Yield the prediction of each image, in order, while later ones are still asked about.

        >>> for prediction in client.predict_each("scans/*.png"):
        ...     print(prediction.name, prediction.digit)
        seven.png 7
        two.png 2

        For more images than fit into memory: takes no more of them from an iterator than fill the requests in flight,
        four of up to 256 images. Whatever goes wrong is raised after the predictions before it. Takes and raises what
        `predict` does.
        """
        return iterate(ask_some(self._driver(), predict_call(**wishes), images, self._retries))

    def probabilities(
        self, images: ImageLike | Iterable[ImageLike], *, deadline: float | None = None
    ) -> NDArray[np.float32]:
        """Return the probabilities of 0 to 9 for each image, (n, 10), or (10,) for one; NaN where it can't be read.

        >>> client.probabilities(np.zeros((500, 28, 28), np.uint8)).shape
        (500, 10)

        For those who go on computing: the answer travels as an array, too, and takes less time than predictions do.
        But it does not say what is blank or doubtful. Takes and raises what `predict` does.
        """
        return as_array(run(ask(self._driver(), rows_call(deadline), images, self._retries)))

    @overload
    def read(self, images: OneImage | NDArray[Any], **wishes: Unpack[ReadWishes]) -> Reading: ...  # type: ignore[overload-overlap]  # str is iterable
    @overload
    def read(self, images: Iterable[ImageLike], **wishes: Unpack[ReadWishes]) -> list[Reading]: ...
    def read(
        self,
        images: ImageLike | Iterable[ImageLike],
        *,
        expect: int | None = None,
        pattern: str | None = None,
        boxes: Sequence[Box] = (),
        threshold: float | None = None,
        deadline: float | None = None,
    ) -> Reading | list[Reading]:
        """Read the numbers in an image, or in each of a list, line by line.

        >>> client.read("seven.png", expect=1).text
        '7'

        `expect` is how many digits each number has, `pattern` what it looks like, such as `[0-9]{4,6}`; then each
        line is the best reading that fits. `boxes` are (left, top, width, height) of places with one number each.
        `threshold` is the confidence below which a digit is None, `deadline` as with `predict`. An array is one
        picture. Takes, otherwise, and raises what `predict` does.
        """
        call = read_call(expect=expect, pattern=pattern, boxes=boxes, threshold=threshold, deadline=deadline)
        return run(ask(self._driver(), call, images, self._retries))

    def read_each(
        self, images: ImageLike | Iterable[ImageLike], **wishes: Unpack[ReadWishes]
    ) -> Generator[Reading, None, None]:
        """Yield the reading of each image; `read` as `predict_each` is to `predict`."""
        return iterate(ask_some(self._driver(), read_call(**wishes), images, self._retries))

    def health(self) -> Health:
        """Say whether the service can predict, and with what. Asks once.

        >>> client.health().ok
        True
        """
        return read_health(run(persist(self._driver(), HEALTH, ONCE)))

    def model(self) -> dict[str, Any]:
        """Return the manifest of the model that is served.

        >>> client.model()["version"] == client.health().model.version
        True
        """
        return read_json(run(persist(self._driver(), MODEL, Patience(self._retries))))

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Block until the service is ready. Raises its last answer if it isn't within `timeout` seconds.

        >>> client.wait_until_ready(timeout=10)

        Asks again after moments that grow to two seconds.
        """
        read_json(run(persist(self._driver(), READY, Patience.within(timeout, math.inf))))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _driver(self) -> Threads:
        return Threads(self._http, self._timeout)


class AsyncClient:
    """The same as `Client`, with `await`, on asyncio. Images may come from asynchronous iterators, too.

    A call that is cancelled leaves nothing running.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        api_key: str | None = None,
        timeout: float | None = TIMEOUT,
        retries: int = RETRIES,
        **options: Any,
    ) -> None:
        self._http = httpx.AsyncClient(**http_options(url, api_key, options))
        self._timeout = timeout
        self._retries = retries

    @overload
    async def predict(self, images: NDArray[Any], **wishes: Unpack[Wishes]) -> Any: ...  # which depends on the shape
    @overload
    async def predict(self, images: OneImage, **wishes: Unpack[Wishes]) -> Prediction: ...  # type: ignore[overload-overlap]  # str is iterable
    @overload
    async def predict(self, images: ManyImages, **wishes: Unpack[Wishes]) -> list[Prediction]: ...
    async def predict(
        self,
        images: ImageLike | ManyImages,
        *,
        explain: bool = False,
        threshold: float | None = None,
        deadline: float | None = None,
    ) -> Prediction | list[Prediction]:
        """See `Client.predict`."""
        call = predict_call(explain=explain, threshold=threshold, deadline=deadline)
        return await ask(self._driver(), call, images, self._retries)

    def predict_each(
        self, images: ImageLike | ManyImages, **wishes: Unpack[Wishes]
    ) -> AsyncGenerator[Prediction, None]:
        """See `Client.predict_each`."""
        return ask_each(self._driver(), predict_call(**wishes), images, self._retries)

    async def probabilities(
        self, images: ImageLike | ManyImages, *, deadline: float | None = None
    ) -> NDArray[np.float32]:
        """See `Client.probabilities`."""
        return as_array(await ask(self._driver(), rows_call(deadline), images, self._retries))

    @overload
    async def read(self, images: OneImage | NDArray[Any], **wishes: Unpack[ReadWishes]) -> Reading: ...  # type: ignore[overload-overlap]  # str is iterable
    @overload
    async def read(self, images: ManyImages, **wishes: Unpack[ReadWishes]) -> list[Reading]: ...
    async def read(
        self,
        images: ImageLike | ManyImages,
        *,
        expect: int | None = None,
        pattern: str | None = None,
        boxes: Sequence[Box] = (),
        threshold: float | None = None,
        deadline: float | None = None,
    ) -> Reading | list[Reading]:
        """See `Client.read`."""
        call = read_call(expect=expect, pattern=pattern, boxes=boxes, threshold=threshold, deadline=deadline)
        return await ask(self._driver(), call, images, self._retries)

    def read_each(self, images: ImageLike | ManyImages, **wishes: Unpack[ReadWishes]) -> AsyncGenerator[Reading, None]:
        """See `Client.read_each`."""
        return ask_each(self._driver(), read_call(**wishes), images, self._retries)

    async def health(self) -> Health:
        """See `Client.health`."""
        return read_health(await persist(self._driver(), HEALTH, ONCE))

    async def model(self) -> dict[str, Any]:
        """See `Client.model`."""
        return read_json(await persist(self._driver(), MODEL, Patience(self._retries)))

    async def wait_until_ready(self, timeout: float = 60.0) -> None:
        """See `Client.wait_until_ready`."""
        read_json(await persist(self._driver(), READY, Patience.within(timeout, math.inf)))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def _driver(self) -> Tasks:
        return Tasks(self._http, self._timeout)


ManyImages = Iterable[ImageLike] | AsyncIterable[ImageLike]


def http_options(url: str, api_key: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of an httpx client, with address and headers. Raises `Unreachable` and `ValueError`."""
    if api_key and not (api_key.isascii() and api_key.isprintable()):
        raise ValueError("the API key holds what no header can: a line break, perhaps, or a letter beyond ASCII")
    headers = httpx.Headers({"user-agent": f"digits-client/{__version__}", "accept-encoding": "identity"})
    headers.update({"authorization": f"Bearer {api_key}"} if api_key else {})
    headers.update(options.get("headers"))
    return options | {"base_url": address(url), "headers": headers}


def address(url: str) -> httpx.URL:
    """Raises `Unreachable` for what is no address of HTTP, or lacks the `http://`."""
    if not url:
        raise Unreachable(f"the address of the service is empty; write it as {URL}")
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise Unreachable(f"{url!r} is not an address: {exc}") from exc
    if found.scheme not in {"http", "https"} or not found.host:
        raise Unreachable(f"{url!r} is not an address; write {URL if '://' in url else f'http://{url}'}")
    if found.query:
        raise Unreachable(f"{url!r} is not the address of a service, which ends before the ?")
    return found


def as_array(rows: NDArray[np.float32] | list[NDArray[np.float32]]) -> NDArray[np.float32]:
    if isinstance(rows, list):
        return np.stack(rows) if rows else np.empty((0, 10), np.float32)
    return rows
