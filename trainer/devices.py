"""What Keras computes on; imports it, and knows nothing of networks."""

from __future__ import annotations

import keras


def accelerators() -> list[str]:
    """Return the GPUs or TPUs that Keras uses; without any, it lists the processor."""
    return [device for device in keras.distribution.list_devices() if not device.startswith("cpu")]
