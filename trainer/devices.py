"""What Keras computes on; imports it, and knows nothing of networks."""

from __future__ import annotations

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
