"""Options of a build in the TensorRT stand-in."""

from __future__ import annotations

from typing import Any

from tests.doubles.binding import Bound
from tests.doubles.engine import Shape


class HostMemory(bytes):
    """A serialized engine: anything that takes a buffer takes it."""

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return len(self)


class TimingCache(Bound):
    """Names of the layers whose kernels were timed, for one version and device."""

    def __init__(self, data: bytes) -> None:
        self._device = f"{self.fake.version} {self.fake.gpu.capability}"
        self._origin, _, names = data.decode().partition(":") if data else (self._device, "", "")
        self._measured = set(filter(None, names.split(",")))

    def serialize(self) -> HostMemory:
        return HostMemory(f"{self._device}:{','.join(sorted(self._measured))}".encode())


class BuilderConfig(Bound):
    """Options of a build; TF32 is on from the start."""

    def __init__(self) -> None:
        self._flags = {"TF32"}
        self._workspace: int | None = None
        self._aux_streams: int | None = None
        self._profiles: list[OptimizationProfile] = []
        self._timing_cache: TimingCache | None = None
        self._calibrator: Any = None
        self._calibration_profile: OptimizationProfile | None = None
        self._input_range: float | None = None
        self._monitor: Any = None
        self._level: int | None = None
        self._verbosity: Any = self.trt.ProfilingVerbosity.LAYER_NAMES_ONLY

    def create_timing_cache(self, serialized_timing_cache: bytes) -> Any:
        return self.trt.ITimingCache(bytes(serialized_timing_cache))

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        if cache._origin != cache._device and not ignore_mismatch:
            return False
        self._timing_cache = cache
        return True

    def get_timing_cache(self) -> TimingCache | None:
        return self._timing_cache

    @property
    def int8_calibrator(self) -> Any:
        return self._calibrator

    @int8_calibrator.setter
    def int8_calibrator(self, calibrator: Any) -> None:
        self._calibrator = calibrator

    def set_calibration_profile(self, profile: OptimizationProfile) -> bool:
        self._calibration_profile = profile
        return True

    @property
    def progress_monitor(self) -> Any:
        return self._monitor

    @progress_monitor.setter
    def progress_monitor(self, monitor: Any) -> None:
        self._monitor = monitor

    @property
    def builder_optimization_level(self) -> int | None:
        return self._level

    @builder_optimization_level.setter
    def builder_optimization_level(self, level: int) -> None:
        assert 0 <= level <= 5
        self._level = level

    @property
    def profiling_verbosity(self) -> Any:
        return self._verbosity

    @profiling_verbosity.setter
    def profiling_verbosity(self, verbosity: Any) -> None:
        self._verbosity = verbosity

    def set_flag(self, flag: Any) -> None:
        self._flags.add(self._known(flag))

    def clear_flag(self, flag: Any) -> None:
        self._flags.discard(self._known(flag))

    def get_flag(self, flag: Any) -> bool:
        return self._known(flag) in self._flags

    def _known(self, flag: Any) -> str:
        if not isinstance(flag, self.trt.BuilderFlag):
            raise TypeError("incompatible function arguments")
        return str(flag.name)

    @property
    def max_workspace_size(self) -> int | None:
        return self._workspace

    @max_workspace_size.setter
    def max_workspace_size(self, size: int) -> None:
        self._workspace = size

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        assert pool is self.trt.MemoryPoolType.WORKSPACE
        self._workspace = pool_size

    def get_memory_pool_limit(self, pool: Any) -> int | None:
        return self._workspace

    @property
    def max_aux_streams(self) -> int | None:
        return self._aux_streams

    @max_aux_streams.setter
    def max_aux_streams(self, count: int) -> None:
        self._aux_streams = count

    def add_optimization_profile(self, profile: OptimizationProfile) -> int:
        if profile._shapes is None:
            return -1
        self._profiles.append(profile)
        return len(self._profiles) - 1


class OptimizationProfile(Bound):
    """The shapes that a free dimension may take."""

    def __init__(self) -> None:
        self._shapes: tuple[Shape, Shape, Shape] | None = None

    def set_shape(self, input: str, min: Shape, opt: Shape, max: Shape) -> None:
        if not all(low <= best <= high for low, best, high in zip(min, opt, max, strict=True)):
            raise ValueError("shapes are inconsistent")
        self._shapes = (tuple(min), tuple(opt), tuple(max))
