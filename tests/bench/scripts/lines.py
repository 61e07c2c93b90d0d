"""The usual script: lines of a file through transformers in batches of 32, to JSON lines.

python lines.py DIR INPUT OUTPUT [sorted]

With `sorted` texts of like length share a batch, and the output is put back in order.
"""

import json
import sys

import torch
from transformers import BertModel, BertTokenizer

_, directory, source, target, *options = sys.argv
torch.set_num_threads(2)
tokenizer = BertTokenizer.from_pretrained(directory)
model = BertModel.from_pretrained(directory).eval()
with open(source, encoding="utf-8") as file:
    texts = file.read().splitlines()
order = list(range(len(texts)))
if options == ["sorted"]:
    order.sort(key=lambda index: len(texts[index]))
lines = [None] * len(texts)
with torch.inference_mode(), open(target, "w", encoding="utf-8") as file:
    for start in range(0, len(order), 32):
        chosen = order[start : start + 32]
        batch = tokenizer(
            [texts[index] for index in chosen],
            padding=True,
            truncation=True,
            max_length=512,
            return_tensors="pt",
        )
        output = model(**batch)
        for row, index in enumerate(chosen):
            tokens = int(batch["attention_mask"][row].sum())
            input_ids = batch["input_ids"][row, :tokens].tolist()
            record = {
                "index": index,
                "tokens": tokenizer.convert_ids_to_tokens(input_ids),
                "input_ids": input_ids,
                "last_hidden_state": output.last_hidden_state[row, :tokens].tolist(),
                "pooler_output": output.pooler_output[row].tolist(),
            }
            lines[index] = json.dumps(record)
        if not options:
            file.writelines(lines[index] + "\n" for index in chosen)
    if options:
        file.writelines(line + "\n" for line in lines)
