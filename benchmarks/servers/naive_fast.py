"""FastAPI around a compiled TensorFlow function, one thread to a process."""

from __future__ import annotations

import io
import os
from typing import Annotated, Any

import keras
import numpy as np
import tensorflow as tf
from fastapi import FastAPI, File, UploadFile
from PIL import Image
from pydantic import BaseModel

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
app = FastAPI()
model = keras.models.load_model(os.environ["MODEL_H5"], compile=False)
call = tf.function(
    lambda batch: model(batch, training=False), input_signature=[tf.TensorSpec((None, 28, 28, 1), tf.float32)]
)
call(tf.zeros((1, 28, 28, 1)))


class One(BaseModel):
    image: list[list[int]]


class Many(BaseModel):
    images: list[list[list[int]]]


def run(images: Any) -> Any:
    return call(tf.constant(np.asarray(images, np.float32).reshape(-1, 28, 28, 1) / np.float32(255))).numpy()


def answer(row: Any) -> dict[str, Any]:
    return {"digit": int(np.argmax(row)), "probabilities": row.tolist()}


@app.post("/predict")
async def predict(body: One) -> dict[str, Any]:
    return answer(run([body.image])[0])


@app.post("/predict/image")
async def predict_image(file: Annotated[UploadFile, File()]) -> dict[str, Any]:
    image = Image.open(io.BytesIO(await file.read())).convert("L")
    return answer(run([np.asarray(image)])[0])


@app.post("/predict/batch")
async def predict_batch(body: Many) -> dict[str, Any]:
    rows = run(body.images)
    return {"digits": rows.argmax(1).tolist(), "probabilities": rows.tolist()}
