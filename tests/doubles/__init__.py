"""Stand-ins for ``tensorrt`` and ``pycuda``: the documented interface by version, a fake GPU, ONNX Runtime behind the engine."""
