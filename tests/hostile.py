"""Files that mean harm, or are broken, each made from scratch: `.h5` models and pictures.

A `.h5` begins as a small healthy model, which `model()` returns; what a case changes is what is
wrong with it.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Json = dict[str, Any]
Arrays = dict[str, NDArray[Any]]
Vandal = Callable[[h5py.File], object]

# --- .h5 ----------------------------------------------------------------------------------------


def dense(**changes: Any) -> Json:
    settings = {"name": "dense", "units": 10, "activation": "softmax", "use_bias": True}
    return {"class_name": "Dense", "config": settings | changes}


def layer(kind: str, **settings: Any) -> Json:
    return {"class_name": kind, "config": {"name": kind.lower()} | settings}


def image_input(shape: Iterable[Any] = (28, 28, 1)) -> Json:
    return layer("InputLayer", batch_shape=[None, *shape])


def sequential(*layers: Any) -> Json:
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": list(layers)}}


def functional(*layers: Json, inputs: Any = ("inputlayer", 0, 0), outputs: Any = ("dense", 0, 0)) -> Json:
    config = {"name": "functional", "layers": list(layers), "input_layers": inputs, "output_layers": outputs}
    return {"class_name": "Functional", "config": config}


def called_on(entry: Json, *names: str, **arguments: Any) -> Json:
    """Add to a layer of a Functional model that it is called, once, on what others give."""
    return entry | {"inbound_nodes": [[[name, 0, 0, arguments] for name in names]]}


def without_depthwise_bias() -> bytes:
    by_channel = layer("DepthwiseConv2D", kernel_size=1, use_bias=True)
    arrays = {"depthwiseconv2d/depthwiseconv2d/kernel": np.ones((1, 1, 1, 1), np.float32)} | weights()
    return model(sequential(image_input(), by_channel, layer("Flatten"), dense()), arrays)


def weights() -> Arrays:
    random = np.random.default_rng(3)
    return {
        "dense/dense/kernel": random.normal(0, 0.05, (784, 10)).astype(np.float32),
        "dense/dense/bias": np.zeros(10, np.float32),
    }


def model(config: Any = None, arrays: Arrays | None = None, vandal: Vandal | None = None) -> bytes:
    """Return a `.h5` of a configuration, Input -> Flatten -> Dense if none is given, after some vandalism.

    Its arrays are those of a Dense layer, if it has one.
    """
    config = config or sequential(image_input(), layer("Flatten"), dense())
    text = config if isinstance(config, str) else json.dumps(config)
    arrays = arrays if arrays is not None else weights() if '"Dense"' in text else {}
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5.attrs["keras_version"] = "3.15.1"
        h5.attrs["model_config"] = text
        group = h5.create_group("model_weights")
        for path, array in arrays.items():
            group[path] = array
        if vandal:
            vandal(h5)
    return file.getvalue()


def replace_kernel(**how: Any) -> bytes:
    """Return a model whose kernel is a dataset made by `create_dataset(**how)`."""

    def vandal(h5: h5py.File) -> None:
        del h5["model_weights/dense/dense/kernel"]
        h5["model_weights/dense/dense"].create_dataset("kernel", **how)

    return model(vandal=vandal)


def with_kernel(value: float) -> bytes:
    arrays = weights()
    arrays["dense/dense/kernel"] = np.full((784, 10), value)
    return model(arrays=arrays)


def with_link(link: Any) -> bytes:
    return model(vandal=lambda h5: h5.__setitem__("model_weights/dense/dense/more", link))


def with_cycle() -> bytes:
    return model(vandal=lambda h5: h5.__setitem__("model_weights/dense/again", h5["model_weights"]))


def with_long_names() -> bytes:
    """A cycle whose one step is 60,000 characters, so that paths grow to hundreds of megabytes."""
    return model(vandal=lambda h5: h5.__setitem__(f"model_weights/{'x' * 60_000}", h5["model_weights"]))


def with_virtual() -> bytes:
    layout = h5py.VirtualLayout((784, 10), np.float32)
    layout[:] = h5py.VirtualSource("/etc/hostname", "data", (784, 10))

    def vandal(h5: h5py.File) -> None:
        del h5["model_weights/dense/dense/kernel"]
        h5["model_weights/dense/dense"].create_virtual_dataset("kernel", layout)

    return model(vandal=vandal)


def with_low_filter(number: int, *values: int) -> bytes:
    """A kernel with a filter that h5py has no word for, or that nobody has."""

    def vandal(h5: h5py.File) -> None:
        del h5["model_weights/dense/dense/kernel"]
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_chunk((784, 10))
        layout.set_filter(number, h5py.h5z.FLAG_OPTIONAL, values)
        space = h5py.h5s.create_simple((784, 10))
        h5py.h5d.create(h5["model_weights/dense/dense"].id, b"kernel", h5py.h5t.IEEE_F32LE, space, layout)

    return model(vandal=vandal)


def with_gzip_bomb(size: int = 1 << 30) -> bytes:
    """A chunk of 31,360 bytes by its declaration that unpacks to a gibibyte."""
    packer = zlib.compressobj(9)
    zeros = bytes(1 << 20)
    packed = b"".join(packer.compress(zeros) for _ in range(size >> 20)) + packer.flush()

    def vandal(h5: h5py.File) -> None:
        del h5["model_weights/dense/dense/kernel"]
        group = h5["model_weights/dense/dense"]
        kernel = group.create_dataset("kernel", (784, 10), np.float32, chunks=(784, 10), compression="gzip")
        kernel.id.write_direct_chunk((0, 0), packed)

    return model(vandal=vandal)


def with_many_groups(count: int) -> bytes:
    return model(vandal=lambda h5: [h5.create_group(f"model_weights/{index}") for index in range(count)])


def with_many_links(count: int) -> bytes:
    """Many names of one array, so that a small file declares a lot."""

    def vandal(h5: h5py.File) -> None:
        kernel = h5["model_weights/dense/dense"].create_dataset("kernel_", (1 << 20,), np.float32)
        for index in range(count):
            h5[f"model_weights/dense/dense/{index}"] = kernel

    return model(vandal=vandal)


def with_attribute(name: str, value: Any, **how: Any) -> bytes:
    def vandal(h5: h5py.File) -> None:
        del h5.attrs[name]
        h5.attrs.create(name, value, **how)

    return model(vandal=vandal)


def without_attribute(name: str) -> bytes:
    return model(vandal=lambda h5: h5.attrs.__delitem__(name))


def without_weights() -> bytes:
    return model(vandal=lambda h5: h5.__delitem__("model_weights"))


def vast() -> bytes:
    """The heaviest model that is within every limit, nearly: 15.9 million parameters in float32."""
    units = 20_000
    arrays: Arrays = {
        "wide/wide/kernel": np.ones((784, units), np.float32) / 784,
        "wide/wide/bias": np.zeros(units, np.float32),
        "dense/dense/kernel": np.ones((units, 10), np.float32) / units,
        "dense/dense/bias": np.zeros(10, np.float32),
    }
    wide = dense(name="wide", units=units, activation="relu")
    return model(sequential(image_input(), layer("Flatten"), wide, dense()), arrays)


def unallocated() -> bytes:
    """The same size, but only declared: the file has a few kilobytes."""
    units = 20_000

    def vandal(h5: h5py.File) -> None:
        group = h5["model_weights"]
        group.create_dataset("wide/wide/kernel", (784, units), np.float32)
        group["wide/wide/bias"] = np.zeros(units, np.float32)
        group.create_dataset("dense/dense/kernel", (units, 10), np.float32)
        group["dense/dense/bias"] = np.zeros(10, np.float32)

    wide = dense(name="wide", units=units, activation="relu")
    return model(sequential(image_input(), layer("Flatten"), wide, dense()), {}, vandal)


def with_wide_window(side: int, layers: int = 1) -> bytes:
    """Convolve an image of a side with a window of that side, which takes its fourth power of multiplications."""
    windows = [
        layer("Conv2D", name=f"conv{index}", filters=1, kernel_size=side, padding="same", use_bias=False)
        for index in range(layers)
    ]
    kernels: Arrays = {f"conv{index}/kernel": np.zeros((side, side, 1, 1), np.float32) for index in range(layers)}
    return over_padded(side, windows, kernels)


def with_wide_pooling(side: int) -> bytes:
    """Pool an image of a side with a window of that side, which takes its fourth power of additions."""
    return over_padded(side, [layer("AveragePooling2D", pool_size=side, strides=1, padding="same")], {})


def over_padded(side: int, windows: list[Any], kernels: Arrays) -> bytes:
    """Let layers see an image that is padded to a side; ten classes follow from the mean of what they give."""
    padding = layer("ZeroPadding2D", padding=(side - 28) // 2)
    config = sequential(image_input(), padding, *windows, layer("GlobalAveragePooling2D"), dense())
    ends = {"dense/kernel": np.zeros((1, 10), np.float32), "dense/bias": np.zeros(10, np.float32)}
    return model(config, kernels | ends)


def flipped(data: bytes, seed: int) -> bytes:
    """Change from one to eight bytes, a third of the time within the first 2,048, where the structure is."""
    random = np.random.default_rng(seed)
    damaged = bytearray(data)
    end = 2048 if seed % 3 == 0 else len(data)
    for position in random.integers(0, end, random.integers(1, 9)):
        damaged[position] = random.integers(0, 256)
    return bytes(damaged)


# --- pictures -----------------------------------------------------------------------------------


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, bits: int = 8, colour: int = 0) -> bytes:
    """Return a PNG of a declared size and, before its pixels, further chunks; the pixels are those of one black row."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1 + min(width, 100_000))))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def png_with_text_bomb(size: int = 256 << 20) -> bytes:
    packer = zlib.compressobj(9)
    zeros = bytes(1 << 20)
    packed = b"".join(packer.compress(zeros) for _ in range(size >> 20)) + packer.flush()
    return png(28, 28, chunk(b"zTXt", b"Comment\0\0" + packed))


def black_png(width: int, height: int, mode: str = "L") -> bytes:
    """A whole PNG of one colour, small in the file and large in memory."""
    return encoded(Image.new(mode, (width, height)), "PNG")


def gif(width: int, height: int) -> bytes:
    """Return the head of a GIF that declares a size for its screen and for its one frame."""
    data = bytearray(encoded(Image.new("P", (8, 8)), "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    frame = data.index(b",")
    data[frame + 5 : frame + 9] = struct.pack("<HH", width, height)
    return bytes(data)


def gif_of(frames: int) -> bytes:
    images = [Image.new("L", (28, 28), index % 2 * 255) for index in range(frames)]
    return encoded(images[0], "GIF", save_all=True, append_images=images[1:], duration=10)


def gif_with_growing_frame() -> bytes:
    """Two frames, of which the second says that it is larger than the screen: 13,000 x 13,000."""
    data = bytearray(gif_of(2))
    second = data.index(b",", data.index(b",") + 10)
    data[second + 1 : second + 9] = struct.pack("<HHHH", 0, 0, 13_000, 13_000)
    return bytes(data)


def tiff(
    width: int, height: int, following: int = 0, *, kind: int = 0, photometric: int = 1, bits: int = 8,
    compression: int = 1, content: bytes = bytes(784),
) -> bytes:  # fmt: skip
    """Return a grey TIFF of one strip; `following` is where its next directory is said to be."""
    entries = [
        (254, 4, 1, kind),
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, bits),
        (259, 3, 1, compression),
        (262, 3, 1, photometric),
        (273, 4, 1, 8 + 2 + 10 * 12 + 4),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, len(content)),
    ]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", following) + content


def webp(width: int, height: int) -> bytes:
    """Return a WebP whose extended header declares a canvas, before the data of a small one."""
    small = encoded(Image.new("RGB", (8, 8)), "WEBP")
    canvas = (
        b"VP8X" + struct.pack("<II", 10, 0) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )
    body = b"WEBP" + canvas + small[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bmp(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 64, 0, 0, 54) + header + bytes(64)


def png_of_chunks(chunk: bytes, count: int) -> bytes:
    """A small PNG with a chunk ahead of its pixels, so many times."""
    data = encoded(Image.new("L", (8, 8)), "PNG")
    return data[:33] + chunk * count + data[33:]


def jpeg_of_segments(segment: bytes, count: int) -> bytes:
    """A small JPEG with some bytes ahead of all else, so many times."""
    data = encoded(Image.new("L", (8, 8)), "JPEG")
    return data[:2] + segment * count + data[2:]


def jpeg_of_scans(count: int, side: int = 2000) -> bytes:
    """A progressive JPEG that repeats its last scan; each would walk through the whole picture again."""
    data = encoded(Image.new("L", (side, side), 255), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * count + data[-2:]


def tiled_tiff(width: int, height: int, tile_width: int, tile_height: int) -> bytes:
    """A black TIFF whose tiles all lie at one place, packed; only the first mebibyte of them is there."""
    packed = zlib.compress(bytes(min(tile_width * tile_height, 1 << 20)))
    count = -(-width // tile_width) * -(-height // tile_height)
    tags = [(256, width), (257, height), (258, 8), (259, 8), (262, 1), (277, 1), (322, tile_width), (323, tile_height)]
    offsets = 8 + 2 + 12 * (len(tags) + 2) + 4
    sizes, content = offsets + 4 * count, offsets + 8 * count
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags]
    entries.append(struct.pack("<HHII", 324, 4, count, offsets if count > 1 else content))
    entries.append(struct.pack("<HHII", 325, 4, count, sizes if count > 1 else len(packed)))
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)
    return head + struct.pack("<I", content) * count + struct.pack("<I", len(packed)) * count + packed
