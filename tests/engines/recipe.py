"""Runs an engine's recipe from README.md as it stands: recipe.py ENGINE."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import rows

engine = sys.argv[1]
page = Path(__file__).with_name("README.md").read_text()
language, text = re.search(rf"^```(\w+) {engine}\n(.*?)^```", page, re.M | re.S).groups()
program = [sys.executable] if language == "python" else ["bash", "-euo", "pipefail"]
environment = {
    **os.environ,
    "BERT_EMBED_MODEL": rows.MODEL,
    "PATH": f"{Path(rows.BINARY).parent}:{os.environ['PATH']}",
}
with tempfile.TemporaryDirectory() as place:
    script = Path(place) / "recipe"
    script.write_text(text)
    done = subprocess.run(
        [*program, str(script)], cwd=place, env=environment, capture_output=True, text=True
    )
if done.returncode != 0:
    sys.exit(f"the recipe of {engine} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
