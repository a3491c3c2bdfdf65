"""A graph that runs in ONNX Runtime."""

import json
from typing import Any

from poseedge.device.runner.bundle import Bundle, pose_output
from poseedge.device.runner.words import Refused


class OnnxRuntimeRunner:
    """The bundle's graph in ONNX Runtime on one CPU thread."""

    backend, provider, threads, captured = "onnxruntime", "CPUExecutionProvider", 1, False
    memory = None

    def __init__(self, ort: Any, bundle: Bundle) -> None:
        self.artefact = bundle.graph
        self.details = None
        self.machine = {"onnxruntime": ort.__version__}
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = self.threads
        settings.log_severity_level = 3
        self.shape = bundle.poses.shape[1:]
        try:
            self.session = ort.InferenceSession(str(bundle.graph), settings, providers=[self.provider])
            known = self.session.get_modelmeta().custom_metadata_map
            disabled = json.loads(known.get("poseedge.ort_disabled_optimizers", "[]"))
            if disabled:  # the exporter found that these change this graph's result
                self.session = ort.InferenceSession(
                    str(bundle.graph), settings, providers=[self.provider], disabled_optimizers=disabled
                )
            shapes = {output.name: tuple(output.shape) for output in self.session.get_outputs()}
            self.input, self.output = self.session.get_inputs()[0].name, pose_output(shapes, bundle)
            self.infer(bundle.keypoints[0])
        except Refused:
            raise
        except Exception as error:  # ONNX Runtime raises a dozen types of its own
            raise Refused("{}: ONNX Runtime cannot run it: {}".format(bundle.graph, error)) from error

    def infer(self, window: Any) -> Any:
        """Lift one window (T, 17, C) to poses (T_out, 17, 3) in metres."""
        return self.session.run([self.output], {self.input: window[None]})[0].reshape(self.shape)

    def choose_memory(self, window: Any) -> None:
        """There is one memory."""

    def replay(self, replaying: bool) -> None:
        """There is one way to run it."""

    def enter(self) -> None:
        """Any thread may run it."""

    def leave(self) -> None:
        """Nothing was entered."""

    def gpu_ms(self) -> None:
        """No GPU is involved."""

    def capture(self) -> str:
        """No CUDA graph, and nothing to say of it."""
        return ""
