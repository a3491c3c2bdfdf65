// Lift windows of 2D keypoints to 3D poses with a TensorRT engine, replayed as one CUDA graph.
//
//     g++ -std=c++17 -O2 -I/usr/local/cuda/include lift.cpp -L/usr/local/cuda/lib64 -lnvinfer -lnvinfer_plugin -lcudart -o lift
//     ./lift ENGINE < keypoints.f32 > poses.f32
//
// ENGINE is what run.py or poseedge build made on this device, with TensorRT 8.5 or later. Both files are plain float32 in the
// engine's own shapes: windows (T, 17, C) of normalized screen coordinates, poses (T_out, 17, 3) in metres.

#include <NvInfer.h>
#include <NvInferPlugin.h>
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace {

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "lift: %s\n", what.c_str());
    std::exit(2);
}

void check(cudaError_t status, const char* call) {
    if (status != cudaSuccess) {
        fail(std::string(call) + ": " + cudaGetErrorString(status));
    }
}

class Log : public nvinfer1::ILogger {
    void log(Severity severity, const char* message) noexcept override {
        if (severity <= Severity::kERROR) {
            std::fprintf(stderr, "TensorRT: %s\n", message);
        }
    }
};

// Bytes of an element, by the numbers of nvinfer1::DataType: 8.5 has no names for the last ones.
std::size_t element_bytes(nvinfer1::DataType type) {
    switch (static_cast<int>(type)) {
        case 0: case 3: return 4;          // float32, int32
        case 1: return 2;                  // float16
        case 2: case 4: case 5: return 1;  // int8, bool, uint8
        case 8: return 8;                  // int64, from TensorRT 10 on
        default: fail("the engine has a tensor of a type that is not known here");
    }
}

struct Tensor {
    std::string name;
    std::size_t bytes = 0;
    void* device = nullptr;
    bool is_input = false;
    bool is_pose = false;
};

// One tensor with memory on the device; a free batch is set to one window.
Tensor prepare(nvinfer1::ICudaEngine& engine, nvinfer1::IExecutionContext& context, const char* name) {
    Tensor tensor;
    tensor.name = name;
    tensor.is_input = engine.getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
    auto shape = context.getTensorShape(name);
    if (tensor.is_input && shape.d[0] < 0) {
        shape.d[0] = 1;
        if (!context.setInputShape(name, shape)) {
            fail("the engine does not take one window");
        }
    }
    tensor.bytes = element_bytes(engine.getTensorDataType(name));
    for (int axis = 0; axis < shape.nbDims; ++axis) {
        tensor.bytes *= static_cast<std::size_t>(shape.d[axis]);
    }
    const int last = shape.nbDims - 1;
    tensor.is_pose = !tensor.is_input && last > 0 && shape.d[last - 1] == 17 && shape.d[last] == 3;
    check(cudaMalloc(&tensor.device, tensor.bytes), "cudaMalloc");
    if (!context.setTensorAddress(name, tensor.device)) {
        fail("TensorRT refuses the memory of " + tensor.name);
    }
    return tensor;
}

std::vector<char> read_file(const char* path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        fail(std::string(path) + ": cannot be read");
    }
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        fail("usage: lift ENGINE < keypoints.f32 > poses.f32");
    }
    const auto plan = read_file(argv[1]);
    Log log;
    initLibNvInferPlugins(&log, "");
    std::unique_ptr<nvinfer1::IRuntime> runtime(nvinfer1::createInferRuntime(log));
    std::unique_ptr<nvinfer1::ICudaEngine> engine(runtime->deserializeCudaEngine(plan.data(), plan.size()));
    if (!engine) {
        fail(std::string(argv[1]) + ": cannot be loaded; it must have been built on this device, with this TensorRT");
    }
    std::unique_ptr<nvinfer1::IExecutionContext> context(engine->createExecutionContext());
    if (!context) {
        fail("no execution context: is the device out of memory?");
    }

    // Inputs first: outputs take their shapes from them.
    std::vector<Tensor> tensors;
    for (const auto mode : {nvinfer1::TensorIOMode::kINPUT, nvinfer1::TensorIOMode::kOUTPUT}) {
        for (int index = 0; index < engine->getNbIOTensors(); ++index) {
            const char* name = engine->getIOTensorName(index);
            if (engine->getTensorIOMode(name) == mode) {
                tensors.push_back(prepare(*engine, *context, name));
            }
        }
    }
    const Tensor *source = nullptr, *pose = nullptr;
    for (const auto& tensor : tensors) {
        source = tensor.is_input ? &tensor : source;
        pose = tensor.is_pose ? &tensor : pose;
    }
    if (source == nullptr || pose == nullptr) {
        fail("no lifting engine: it takes no keypoints or gives no poses (.., 17, 3)");
    }

    cudaStream_t stream = nullptr;  // non-blocking: it waits for nobody's work on the legacy stream
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    void *keypoints = nullptr, *poses = nullptr;
    check(cudaMallocHost(&keypoints, source->bytes), "cudaMallocHost");
    check(cudaMallocHost(&poses, pose->bytes), "cudaMallocHost");
    const auto enqueue = [&] {
        check(cudaMemcpyAsync(source->device, keypoints, source->bytes, cudaMemcpyHostToDevice, stream), "upload");
        if (!context->enqueueV3(stream)) {
            fail("the network could not be started");
        }
        check(cudaMemcpyAsync(poses, pose->device, pose->bytes, cudaMemcpyDeviceToHost, stream), "download");
    };

    // TensorRT puts off some of its work to the first run, which therefore cannot be captured.
    enqueue();
    check(cudaStreamSynchronize(stream), "the first run");
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t replay = nullptr;
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    enqueue();
    check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
    check(cudaGraphInstantiateWithFlags(&replay, graph, 0), "cudaGraphInstantiate");
    check(cudaGraphDestroy(graph), "cudaGraphDestroy");

    std::size_t read = 0;
    while ((read = std::fread(keypoints, 1, source->bytes, stdin)) == source->bytes) {
        check(cudaGraphLaunch(replay, stream), "cudaGraphLaunch");
        check(cudaStreamSynchronize(stream), "a replay");
        if (std::fwrite(poses, 1, pose->bytes, stdout) != pose->bytes) {
            fail("the poses cannot be written");
        }
    }
    if (read != 0) {
        fail("the last window is not whole");
    }

    check(cudaGraphExecDestroy(replay), "cudaGraphExecDestroy");
    check(cudaFreeHost(keypoints), "cudaFreeHost");
    check(cudaFreeHost(poses), "cudaFreeHost");
    for (const auto& tensor : tensors) {
        check(cudaFree(tensor.device), "cudaFree");
    }
    check(cudaStreamDestroy(stream), "cudaStreamDestroy");
    return std::fflush(stdout) == 0 ? 0 : 2;
}
