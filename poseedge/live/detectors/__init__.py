"""2D detectors: from a picture to the keypoints of the people in it."""

from poseedge.live.detectors.person import Detector, Person
from poseedge.live.detectors.recognise import open_detector

__all__ = ["Detector", "Person", "open_detector"]
