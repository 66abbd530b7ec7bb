"""FastAPI around `model.predict`, as tutorials have it."""

from __future__ import annotations

import io
import os
from typing import Annotated, Any

import keras
import numpy as np
from fastapi import FastAPI, File, UploadFile
from PIL import Image
from pydantic import BaseModel

app = FastAPI()
model = keras.models.load_model(os.environ["MODEL_H5"])


class One(BaseModel):
    image: list[list[int]]


class Many(BaseModel):
    images: list[list[list[int]]]


def run(images: Any) -> Any:
    return model.predict(np.asarray(images, np.float32).reshape(-1, 28, 28, 1) / 255)


def answer(row: Any) -> dict[str, Any]:
    return {"digit": int(np.argmax(row)), "probabilities": row.tolist()}


@app.post("/predict")
def predict(body: One) -> dict[str, Any]:
    return answer(run([body.image])[0])


@app.post("/predict/image")
def predict_image(file: Annotated[UploadFile, File()]) -> dict[str, Any]:
    image = Image.open(io.BytesIO(file.file.read())).convert("L").resize((28, 28))
    return answer(run([np.array(image)])[0])


@app.post("/predict/batch")
def predict_batch(body: Many) -> dict[str, Any]:
    rows = run(body.images)
    return {"digits": rows.argmax(1).tolist(), "probabilities": rows.tolist()}
