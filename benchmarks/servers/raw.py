"""ONNX Runtime without any HTTP: the ceiling. Prints images/s and CPU seconds per image as JSON.

    python -m benchmarks.servers.raw MNIST PROCESSES THREADS SECONDS

The network takes uint8 and scales by itself, so the scaling is counted, as it is in a server.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

import numpy as np
import onnxruntime

BATCH = 256


def main(mnist: str, processes: int, threads: int, seconds: float) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(processes), context.Queue()
    arguments = (mnist, threads, seconds, barrier, queue)
    workers = [context.Process(target=loop, args=arguments) for _ in range(processes)]
    for worker in workers:
        worker.start()
    speeds, cpus = zip(*(queue.get() for _ in workers), strict=True)
    for worker in workers:
        worker.join()
    print(json.dumps({"images_per_s": sum(speeds), "cpu_per_image": sum(cpus) / len(cpus)}))


def loop(mnist: str, threads: int, seconds: float, barrier: Barrier, queue: Queue[tuple[float, float]]) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(os.environ["MODEL_ONNX"], options, providers=["CPUExecutionProvider"])
    with np.load(mnist) as archive:
        batch = archive["x_test"][:BATCH]
    for _ in range(5):
        session.run(["probabilities"], {"pixels": batch})
    barrier.wait()
    images, start, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - start < seconds:
        session.run(["probabilities"], {"pixels": batch})
        images += BATCH
    queue.put((images / (time.perf_counter() - start), (time.process_time() - cpu) / images))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
