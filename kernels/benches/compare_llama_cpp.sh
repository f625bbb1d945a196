#!/usr/bin/env bash
# Compares the CPU scorer with llama.cpp; see compare_llama_cpp.py. Builds llama-cpp-python from source
# (minutes; needs cmake and a C++ compiler) into .cache/llama_cpp the first time.
set -euo pipefail

cd "$(dirname "$0")/../.."
scripts/fetch-models
python=.cache/llama_cpp/bin/python
if [ ! -x "$python" ]; then
    python3 -m venv .cache/llama_cpp
    "$python" -m pip install --quiet numpy==2.4.6 llama-cpp-python==0.3.36
fi
bench=$(cargo bench -p riffle-kernels --bench score --no-run --message-format=json |
    "$python" -c 'import json, sys
for line in map(json.loads, sys.stdin):
    if line.get("executable") and line["target"]["name"] == "score":
        print(line["executable"])')
model=${RIFFLE_TEST_MODEL:-models/SmolLM2-135M-Instruct.Q4_1.gguf}
exec "$python" kernels/benches/compare_llama_cpp.py "$model" "$bench"
