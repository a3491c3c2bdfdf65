// A CUDA and a TensorRT that run one small network on the processor, and refuse what the real ones refuse: work is done when a
// stream is waited for, memory on the device is none of the program's, copies need page-locked memory, a first run cannot be
// captured, and what is not released is told at the end.
//
// A plan is the text "plan BATCH PLUGIN": (BATCH, 4, 17, 2) -> (BATCH, 2, 17, 3), the sum and the difference of a joint's
// coordinates and their first, of the two frames in the middle; it also gives their numbers. BATCH may be -1.

#include <cuda_runtime_api.h>

#include <NvInfer.h>
#include <NvInferPlugin.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

using Work = std::function<void()>;
constexpr int FRAMES = 4, OUT = 2, JOINTS = 17;

struct CUstream_st {
    std::vector<Work> pending;
    std::unique_ptr<std::vector<Work>> recorded;
};
struct CUgraph_st {
    std::vector<Work> works;
};
struct CUgraphExec_st {
    std::vector<Work> works;
};

namespace {

std::map<char*, std::vector<char>> device;  // by an address that the program cannot read
std::map<char*, std::size_t> locked;
int living = 0;  // streams, graphs, runtimes, engines, contexts
bool plugins = false;
char* next_address = reinterpret_cast<char*>(0x1000);

struct AtTheEnd {
    ~AtTheEnd() {
        if (living != 0 || !device.empty() || !locked.empty()) {
            std::fprintf(stderr, "stub: not everything was released\n");
            std::_Exit(3);
        }
    }
} at_the_end;

char* on_device(void const* address, std::size_t size) {
    for (auto& [start, block] : device) {
        const auto offset = static_cast<char const*>(address) - start;
        if (offset >= 0 && offset + size <= block.size()) {
            return block.data() + offset;
        }
    }
    return nullptr;
}

bool is_locked(void const* address, std::size_t size) {
    for (auto const& [start, length] : locked) {
        const auto offset = static_cast<char const*>(address) - start;
        if (offset >= 0 && offset + size <= length) {
            return true;
        }
    }
    return false;
}

cudaError_t submit(cudaStream_t stream, Work work) {
    if (stream == nullptr) {
        return cudaErrorInvalidValue;
    }
    (stream->recorded ? *stream->recorded : stream->pending).push_back(std::move(work));
    return cudaSuccess;
}

}  // namespace

extern "C" {

char const* cudaGetErrorString(cudaError_t error) {
    return error == cudaErrorStreamCaptureUnsupported ? "operation not permitted when stream is capturing" : "invalid argument";
}

cudaError_t cudaMalloc(void** address, std::size_t size) {
    device[next_address] = std::vector<char>(size, '\xcd');
    *address = next_address;
    next_address += size + 0x1000;
    return cudaSuccess;
}

cudaError_t cudaFree(void* address) { return device.erase(static_cast<char*>(address)) ? cudaSuccess : cudaErrorInvalidValue; }

cudaError_t cudaMallocHost(void** host, std::size_t size) {
    auto* block = static_cast<char*>(std::malloc(size));
    std::memset(block, 0xcd, size);
    locked[block] = size;
    *host = block;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void* host) {
    if (!locked.erase(static_cast<char*>(host))) {
        return cudaErrorInvalidValue;
    }
    std::free(host);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* target, void const* source, std::size_t size, cudaMemcpyKind kind, cudaStream_t stream) {
    const bool up = kind == cudaMemcpyHostToDevice;
    char* memory = on_device(up ? target : source, size);
    void const* host = up ? source : target;
    if (memory == nullptr || !is_locked(host, size)) {
        return cudaErrorInvalidValue;
    }
    return submit(stream, [=] { up ? std::memcpy(memory, host, size) : std::memcpy(const_cast<void*>(host), memory, size); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
    if (flags != cudaStreamNonBlocking) {
        return cudaErrorInvalidValue;  // a blocking stream would disturb others while it captures
    }
    *stream = new CUstream_st;
    ++living;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    delete stream;
    --living;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    if (stream->recorded) {
        return cudaErrorStreamCaptureUnsupported;
    }
    for (auto& work : stream->pending) {
        work();
    }
    stream->pending.clear();
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    if (stream == nullptr || stream->recorded) {
        return cudaErrorInvalidValue;
    }
    stream->recorded = std::make_unique<std::vector<Work>>();
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    if (!stream->recorded) {
        return cudaErrorInvalidValue;
    }
    *graph = new CUgraph_st{*stream->recorded};
    stream->recorded.reset();
    ++living;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* replay, cudaGraph_t graph, unsigned long long flags) {
    if (graph == nullptr || flags != 0) {
        return cudaErrorInvalidValue;
    }
    *replay = new CUgraphExec_st{graph->works};
    ++living;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    --living;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t replay, cudaStream_t stream) {
    if (replay == nullptr) {
        return cudaErrorInvalidValue;
    }
    for (auto const& work : replay->works) {
        if (submit(stream, work) != cudaSuccess) {
            return cudaErrorInvalidValue;
        }
    }
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t replay) {
    delete replay;
    --living;
    return cudaSuccess;
}

bool initLibNvInferPlugins(void*, char const*) { return plugins = true; }

}  // extern "C"

namespace {

using namespace nvinfer1;

const std::vector<std::string> NAMES = {"selected", "keypoints", "poses"};  // the order is the engine's own

struct Alive {
    Alive() { ++living; }
    ~Alive() { --living; }
};

class Context final : public IExecutionContext, Alive {
public:
    Context(ILogger& log, int batch) : log_(log), batch_(batch) {}

    bool setInputShape(char const* name, Dims const& dims) noexcept override {
        if (name != NAMES[1] || dims.nbDims != 4 || dims.d[0] < 1 || dims.d[1] != FRAMES || dims.d[2] != JOINTS || dims.d[3] != 2) {
            return false;
        }
        batch_ = static_cast<int>(dims.d[0]);
        return true;
    }

    Dims getTensorShape(char const* name) const noexcept override {
        if (name == NAMES[0]) {
            return {1, {OUT}};
        }
        return name == NAMES[1] ? Dims{4, {batch_, FRAMES, JOINTS, 2}} : Dims{4, {batch_, OUT, JOINTS, 3}};
    }

    bool setTensorAddress(char const* name, void* data) noexcept override {
        addresses_[name] = data;
        return true;
    }

    bool enqueueV3(cudaStream_t stream) noexcept override {
        const std::size_t sizes[] = {OUT * sizeof_number(), sizeof(float) * batch_ * FRAMES * JOINTS * 2, sizeof(float) * batch_ * OUT * JOINTS * 3};
        char* memory[3] = {};
        for (int index = 0; index < 3; ++index) {
            const auto found = addresses_.find(NAMES[index]);
            memory[index] = batch_ < 1 || found == addresses_.end() ? nullptr : on_device(found->second, sizes[index]);
            if (memory[index] == nullptr) {
                log_.log(ILogger::Severity::kERROR, ("no shape or no memory for " + NAMES[index]).c_str());
                return false;
            }
        }
        if (stream != nullptr && stream->recorded && !ran_) {
            log_.log(ILogger::Severity::kERROR, "operation not permitted when stream is capturing");
            return false;
        }
        ran_ = true;
        auto const* keypoints = reinterpret_cast<float const*>(memory[1]);
        auto* poses = reinterpret_cast<float*>(memory[2]);
        return submit(stream, [=, batch = batch_] {
            for (int at = 0; at < batch * OUT * JOINTS; ++at) {
                const int window = at / (OUT * JOINTS), rest = at % (OUT * JOINTS);
                auto const* joint = keypoints + 2 * (window * FRAMES * JOINTS + JOINTS + rest);
                poses[3 * at] = joint[0] + joint[1];
                poses[3 * at + 1] = joint[0] - joint[1];
                poses[3 * at + 2] = joint[0];
            }
        }) == cudaSuccess;
    }

    static constexpr std::size_t sizeof_number() { return sizeof(Size); }  // INT32 before TensorRT 10, INT64 since

private:
    ILogger& log_;
    int batch_;
    bool ran_ = false;
    std::map<std::string, void*> addresses_;
};

class Engine final : public ICudaEngine, Alive {
public:
    Engine(ILogger& log, int batch) : log_(log), batch_(batch) {}
    std::int32_t getNbIOTensors() const noexcept override { return 3; }
    char const* getIOTensorName(std::int32_t index) const noexcept override { return NAMES[index].c_str(); }
    TensorIOMode getTensorIOMode(char const* name) const noexcept override {
        return name == NAMES[1] ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
    }
    DataType getTensorDataType(char const* name) const noexcept override {
        return name == NAMES[0] ? static_cast<DataType>(sizeof(Size) == 8 ? 8 : 3) : DataType::kFLOAT;
    }
    IExecutionContext* createExecutionContext() noexcept override { return new Context(log_, batch_); }

private:
    ILogger& log_;
    int batch_;
};

class Runtime final : public IRuntime, Alive {
public:
    explicit Runtime(ILogger& log) : log_(log) {}
    ICudaEngine* deserializeCudaEngine(void const* blob, std::size_t size) noexcept override {
        std::istringstream text(std::string(static_cast<char const*>(blob), size));
        std::string kind;
        int batch = 0, plugin = 0;
        if (!(text >> kind >> batch >> plugin) || kind != "plan") {
            log_.log(ILogger::Severity::kERROR, "Magic tag does not match");
            return nullptr;
        }
        if (plugin != 0 && !plugins) {
            log_.log(ILogger::Severity::kERROR, "getPluginCreator could not find plugin: ScatterElements version: 1");
            return nullptr;
        }
        return new Engine(log_, batch);
    }

private:
    ILogger& log_;
};

}  // namespace

namespace nvinfer1 {
IRuntime* createInferRuntime(ILogger& logger) noexcept { return new Runtime(logger); }
}  // namespace nvinfer1
