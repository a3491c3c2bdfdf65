/* The three CUDA calls by which NVIDIA's plugin looks at "its" GPU, answered for compute capability MAJOR.MINOR.
   cudaDeviceProp of CUDA 12 has 1032 bytes and keeps the capability at byte 360. */
#include <string.h>

int cudaGetDeviceCount(int *count) {
    *count = 1;
    return 0;
}

int cudaDeviceGetByPCIBusId(int *device, const char *bus) {
    (void)bus;
    *device = 0;
    return 0;
}

int cudaGetDeviceProperties_v2(char *properties, int device) {
    const int capability[2] = {MAJOR, MINOR};
    (void)device;
    memset(properties, 0, 1032);
    memcpy(properties + 360, capability, sizeof capability);
    return 0;
}
