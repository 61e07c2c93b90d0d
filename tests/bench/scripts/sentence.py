"""The usual script: one sentence through transformers, printed as JSON.

python sentence.py DIR TEXT
"""

import json
import sys

import torch
from transformers import BertModel, BertTokenizer

_, directory, text = sys.argv
torch.set_num_threads(2)
tokenizer = BertTokenizer.from_pretrained(directory)
model = BertModel.from_pretrained(directory).eval()
with torch.inference_mode():
    output = model(**tokenizer(text, return_tensors="pt"))
print(
    json.dumps(
        {
            "last_hidden_state": output.last_hidden_state[0].tolist(),
            "pooler_output": output.pooler_output[0].tolist(),
        }
    )
)
