"""The parts of ``run.py`` that are TensorRT and CUDA."""
