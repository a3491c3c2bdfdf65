#!/usr/bin/env bash
# Install the CPU build of PyTorch: a plain "torch" brings gigabytes of CUDA libraries on Linux.
# usage: install_torch.sh PYTHON
set -euo pipefail
python=$1
wanted=$(grep '^torch==' "$(dirname "$0")/constraints.txt")
index=https://download.pytorch.org/whl/cpu # PyTorch's own index of CPU builds

plan() { "$python" -m pip install --quiet --dry-run --ignore-installed --report - "$@" "$wanted" 2>/dev/null; }

# What pip is set up to take may be the CPU build already (macOS, Windows, a company's own index).
if planned=$(plan) && ! grep -qiE '"name": *"(nvidia|cuda)-' <<<"$planned"; then
    exec "$python" -m pip install --quiet "$wanted"
fi
if planned=$(plan --retries 1 --timeout 15 --extra-index-url "$index") && grep -q '+cpu' <<<"$planned"; then
    exec "$python" -m pip install --quiet --extra-index-url "$index" "$wanted+cpu"
fi
echo "error: the only $wanted that pip finds here brings CUDA, gigabytes that poseedge does without" >&2
echo "hint: install the CPU build into $(dirname "$python") yourself (from $index), then type make again" >&2
exit 2
