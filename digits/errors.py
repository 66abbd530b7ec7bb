"""What can be wrong with what the kernel is given; each says why, in a code and in a sentence.

Refused(ValueError)
  BadImage    bytes that are no picture which can be read
  BadModel    a `.h5` that is no network which can be served
  BadBundle   a folder of models that holds no whole, consistent bundle
"""

from __future__ import annotations

EXIT_STATUS = 65  # of digits.convert when it refuses a model (EX_DATAERR of sysexits.h)
MAX_MESSAGE = 500  # characters; parts of a message come from the file that it is about


class Refused(ValueError):
    """Input that the kernel does not take. `code` is for programs, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        message = message.encode(errors="backslashreplace").decode()  # names of files and weights may be any bytes
        super().__init__(message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}…")
        self.code = code


class BadImage(Refused):
    """`code` is one of `empty`, `not_an_image`, `broken`, `too_large`, `animated`, `outside`: a box is.

    From the service also `bad_base64` and `bad_pixels`, for what isn't the bytes of a picture.
    """


class BadModel(Refused):
    """`code` is one of the following.

    `not_hdf5`, `too_large`, `malformed`; `unsafe`: it holds what a plain Keras model doesn't need;
    `unsupported`: a layer, setting or shape that the kernel cannot run; `mismatch`: its weights
    differ from its configuration; `unreadable`: reading it crashed or took too long.
    """


class BadBundle(Refused):
    """`code` is one of `missing`, `malformed`, `mismatch`, `unreadable` (for now, perhaps)."""
