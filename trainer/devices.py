"""What Keras computes on, and how exactly; imports it, and knows nothing of networks."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import keras


def accelerators() -> list[str]:
    """Return the GPUs or TPUs that Keras uses; without any, it lists the processor."""
    return [device for device in keras.distribution.list_devices() if not device.startswith("cpu")]


def names() -> list[str]:
    """Return what their makers call them, such as NVIDIA H100 80GB HBM3, each once."""
    found = accelerators()
    if found and keras.config.backend() == "jax":
        import jax

        found = [device.device_kind for device in jax.devices()]
    if found and keras.config.backend() == "tensorflow":
        from tensorflow import config

        details = map(config.experimental.get_device_details, config.list_physical_devices("GPU"))
        found = [detail["device_name"] for detail in details if "device_name" in detail] or found
    return list(dict.fromkeys(found))


def described() -> str:
    """Say what the training runs on: the backend of Keras, and its GPUs if it sees any."""
    return f"{keras.config.backend()} on {', '.join(accelerators()) or 'the CPU'}"


def compiles_epochs() -> bool:
    """Tell whether an epoch is one program; on a CPU, XLA's convolutions within a loop are the slowest of all."""
    return keras.config.backend() == "jax" and bool(accelerators())


def pays_to_compile() -> bool:
    """Tell whether XLA is worth it; with it, TensorFlow takes ten times as long on a CPU."""
    return keras.config.backend() != "tensorflow" or bool(accelerators())


def be_deterministic() -> None:
    """Have no sum depend on which thread comes first; to be called before anything is computed."""
    if keras.config.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()
    if keras.config.backend() == "jax":  # read when it first looks for devices; it matters on GPUs alone
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true"


def exactly() -> AbstractContextManager[Any]:
    """Have float32 mean float32 meanwhile: JAX multiplies in TF32 on GPUs, which is three digits less."""
    if keras.config.backend() != "jax":
        return nullcontext()
    import jax

    return cast(AbstractContextManager[Any], jax.default_matmul_precision("highest"))
