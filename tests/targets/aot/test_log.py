"""The build log: ONNX Runtime's lines with TensorRT's inside, coloured or not."""

from __future__ import annotations

from poseedge.targets.aot.log import complaints, kernels, memory, refusal

LOG = """\
2026-11-21 12:27:18.1 [I:onnxruntime:, a.cc:1 Run] nothing of interest
2026-11-21 12:27:18.2 [W:onnxruntime:, b.h:88 log] [2026-11-21 12:27:18 WARNING] a layer norm in FP16
may overflow
\x1b[1;31m2026-11-21 12:27:18.3 [E:onnxruntime:, b.h:88 log] [2026-11-21 12:27:18   ERROR] no UINT8\x1b[m
2026-11-21 12:27:18.3 [E:onnxruntime:, b.h:88 log] [2026-11-21 12:27:18   ERROR] no UINT8
2026-11-21 12:27:18.4 [E:onnxruntime:, c.cc:1 Compile] the session failed
a line of nobody
2026-11-21 12:27:18.5 [W:onnxruntime:, d.cc:1 Warn] a warning of ONNX Runtime alone
[V] Total Weights Memory: 1000 bytes
[V] Total Activation Memory: 70 bytes
[V] Total Weights Memory: 24 bytes
"""


def test_complaints_are_joined_and_told_once() -> None:
    assert complaints(LOG) == [
        "TensorRT WARNING: a layer norm in FP16 may overflow",
        "TensorRT ERROR: no UINT8",
        "[E:onnxruntime:, c.cc:1 Compile] the session failed a line of nobody",
    ]


def test_memory_is_summed_over_engines() -> None:
    assert (memory(LOG, "Weights"), memory(LOG, "Activation")) == (1024, 70)
    assert memory("", "Weights") == 0


def test_kernels_are_functions_and_products_whatever_is_fused_to_them() -> None:
    program = [
        b'\x00\x01 name="fully_connected={" of no program',
        b'  function={ name=__myl_ReshTran args={ "keypoints" } }',
        b"    outputs={ 0 }",
        b"  runtime_fusion={ name=__myl_FcAdd",
        b'    fully_connected={ name="embed" }',
        b'    add={ name="embed" } }',
        b'  fully_connected={ name="scores" }',
        b'  signal={ name="__mye59926" stream=0 event=1 layers="" }',
    ]
    assert kernels(b"\n".join(program)) == 3
    assert kernels(b"") == 0


def test_refusal_tells_the_node_and_the_reason_without_nvidia_s_source_lines() -> None:
    messages = [
        "TensorRT WARNING: something else",
        'TensorRT ERROR: ModelImporter.cpp:140: While parsing node number 9 [DFT -> "y"]:',
        "TensorRT ERROR: ModelImporter.cpp:143: --- End node ---",
        "TensorRT ERROR: ModelImporter.cpp:151: ERROR: onnxOpCheckers.cpp:998 In function check: Plugin not found",
    ]
    assert refusal(messages) == 'While parsing node number 9 [DFT -> "y"]: In function check: Plugin not found'
    assert refusal(messages[:1]) == ""
