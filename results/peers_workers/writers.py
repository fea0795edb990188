"""Language models as their libraries' own pages have them made and run: a prompt in, its greedy continuation out."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from peer import Peer, foreseen, open_tokenizer

NEW_TOKENS = 32
CONTEXT = 512


# -- PyTorch ------------------------------------------------------------------------------------------------------


def open_eager(folder: Path, threads: int) -> Peer:
    """PyTorch as it is, by `generate`."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    tokenizer = open_tokenizer(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).float().eval()

    def answer(text: str) -> str:
        inputs = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
        with torch.inference_mode():
            ids = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)[0]
        return str(tokenizer.decode(ids[inputs["input_ids"].shape[1] :], skip_special_tokens=True))

    def score(text: str) -> dict[str, Any]:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            return foreseen(model(input_ids=ids).logits[0], ids[0])

    return Peer(answer, score)


# -- llama.cpp ----------------------------------------------------------------------------------------------------


def make_q8_0(checkpoint: Path, train: Path, out: Path) -> None:
    """llama.cpp's own Q8_0."""
    _quantised(checkpoint, out, "Q8_0")


def make_q4_k_m(checkpoint: Path, train: Path, out: Path) -> None:
    """llama.cpp's own Q4_K_M."""
    _quantised(checkpoint, out, "Q4_K_M")


def _quantised(folder: Path, out: Path, kind: str) -> None:
    import llama_cpp

    (whole,) = folder.glob("*.gguf")
    told = llama_cpp.llama_model_quantize_default_params()
    told.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    target = out / f"model-{kind}.gguf"
    if llama_cpp.llama_model_quantize(str(whole).encode(), str(target).encode(), told):
        raise RuntimeError(f"llama.cpp could not write {kind}")
    shutil.copyfile(folder / "tokenizer.json", out / "tokenizer.json")


def open_llama(folder: Path, threads: int) -> Peer:
    """llama-cpp-python's own class. Texts are cut by tokenizers: llama.cpp itself ends at those of this model."""
    from llama_cpp import Llama
    from tokenizers import Tokenizer

    (file,) = folder.glob("*.gguf")
    said: dict[str, Any] = {"n_ctx": CONTEXT, "n_threads": threads, "n_threads_batch": threads, "verbose": False}
    writing, scoring = Llama(str(file), **said), []
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def answer(text: str) -> str:
        found = writing.create_completion(tokenizer.encode(text).ids, max_tokens=NEW_TOKENS, temperature=0.0)
        return str(found["choices"][0]["text"])

    def score(text: str) -> dict[str, Any]:
        import numpy as np

        if not scoring:
            scoring.append(Llama(str(file), logits_all=True, **said))
        ids = tokenizer.encode(text).ids
        scoring[0].reset()
        scoring[0].eval(ids)
        return foreseen(scoring[0].scores[: len(ids)], np.array(ids))

    return Peer(answer, score)


# -- onnxruntime-genai --------------------------------------------------------------------------------------------


def make_genai(checkpoint: Path, train: Path, out: Path) -> None:
    """onnxruntime-genai's model builder at INT4 for the CPU."""
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-m", checkpoint, "-o", out]
    with tempfile.TemporaryDirectory() as cache:
        subprocess.run([str(word) for word in (*command, "-p", "int4", "-e", "cpu", "-c", cache)], check=True)


def open_genai(folder: Path, threads: int) -> Peer:
    """Its own generator; scored by the graph itself, on a whole text at once.

    Texts are cut by tokenizers: its own reading of tokenizer.json cuts them otherwise than the model was trained on.
    """
    import onnxruntime_genai as genai
    from tokenizers import Tokenizer

    config = genai.Config(str(folder))
    config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}))
    model, tokenizer = genai.Model(config), Tokenizer.from_file(str(folder / "tokenizer.json"))
    scoring: list[Any] = []

    def answer(text: str) -> str:
        ids = tokenizer.encode(text).ids
        told = genai.GeneratorParams(model)
        told.set_search_options(do_sample=False, max_length=len(ids) + NEW_TOKENS)
        generator = genai.Generator(model, told)
        generator.append_tokens(ids)
        while not generator.is_done():
            generator.generate_next_token()
        return str(tokenizer.decode(generator.get_sequence(0)[len(ids) :]))

    def score(text: str) -> dict[str, Any]:
        if not scoring:
            scoring.append(_whole_text(folder))
        return dict(scoring[0](tokenizer.encode(text).ids))

    return Peer(answer, score)


def _whole_text(folder: Path) -> Any:
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    sizes = json.loads((folder / "genai_config.json").read_text(encoding="utf-8"))["model"]["decoder"]
    empty = {
        node.name: np.zeros((1, sizes["num_key_value_heads"], 0, sizes["head_size"]), np.float32)
        for node in session.get_inputs()
        if node.name.startswith("past")
    }

    def score(ids: list[int]) -> dict[str, Any]:
        row = np.array([ids], np.int64)
        logits = session.run(["logits"], {"input_ids": row, "attention_mask": np.ones_like(row), **empty})[0]
        return foreseen(logits[0], row[0])

    return score
