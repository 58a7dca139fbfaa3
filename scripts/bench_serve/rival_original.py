"""The server of the project's first description, as it stands there: correct, and not tuned.

    python scripts/bench_serve/rival_original.py --model FOLDER --port N

Transformers with an unmerged LoRA adapter in float32; every text is padded to 512 tokens, and
one is answered at a time. FOLDER comes from ``models.py``.
"""

import argparse
import threading
from pathlib import Path

import torch
import uvicorn
from fastapi import FastAPI
from folders import ADAPTER
from peft import PeftModel
from pydantic import BaseModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

MAX_LENGTH = 512


class Patent(BaseModel):
    """The body of a request."""

    text: str


class Prediction(BaseModel):
    """The body of an answer."""

    prediction: str
    confidence: float


def application(folder: Path) -> FastAPI:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    base = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, str(folder / ADAPTER)).eval()
    lock = threading.Lock()
    app = FastAPI()

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/predict")
    def predict(patent: Patent) -> Prediction:
        with lock, torch.no_grad():
            inputs = tokenizer(
                patent.text,
                padding="max_length",
                max_length=MAX_LENGTH,
                truncation=True,
                return_tensors="pt",
            )
            shares = model(**inputs).logits[0].softmax(dim=0)
            best = int(shares.argmax())
        return Prediction(
            prediction=model.config.id2label[best], confidence=round(float(shares[best]), 6)
        )

    return app


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    uvicorn.run(application(args.model), host="127.0.0.1", port=args.port, log_level="warning")


if __name__ == "__main__":
    main()
