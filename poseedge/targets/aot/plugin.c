/* An execution provider library that hands everything on to NVIDIA's (REAL), but answers for it which devices there are:
   one virtual NVIDIA GPU. Tables are those of ONNX Runtime's C API, to which versions only append; the numbers are places in them. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

#define API_VERSION 24
enum { CREATE_STATUS = 0, CREATE_KEY_VALUES = 295, ADD_KEY_VALUE = 296, GET_EP_API = 317 };
enum { CREATE_EP_DEVICE = 0, CREATE_HARDWARE_DEVICE = 16 };
enum { GPU = 1, NVIDIA = 0x10de, FAIL = 1, GET_SUPPORTED_DEVICES = 2 };

typedef void *Status;
typedef struct { uint32_t version; void *function[8]; } Factory;
typedef struct { const void *const *(*get_api)(uint32_t); } ApiBase;
typedef Status (*CreateFactories)(const char *, const void *, const void *, Factory **, size_t, size_t *);

static const void *const *api, *const *ep_api;

static Status failed(const void *const *table, const char *message) {
    return ((Status(*)(int, const char *))table[CREATE_STATUS])(FAIL, message);
}

static void *real(const char *name) {
    static void *library;
    if (!library) library = dlopen(REAL, RTLD_NOW | RTLD_LOCAL);
    return library ? dlsym(library, name) : NULL;
}

static Status one_gpu(Factory *self, const void *const *seen, size_t seen_count, void **found, size_t room, size_t *count) {
    void *gpu = NULL, *facts = NULL;
    Status status;
    (void)seen, (void)seen_count;
    *count = 0;
    if (room < 1) return NULL;
    ((void (*)(void **))api[CREATE_KEY_VALUES])(&facts);
    ((void (*)(void *, const char *, const char *))api[ADD_KEY_VALUE])(facts, "pci_bus_id", "0000:00:00.0");
    ((void (*)(void *, const char *, const char *))api[ADD_KEY_VALUE])(facts, "is_virtual", "1");
    status = ((Status(*)(int, uint32_t, uint32_t, const char *, const void *, void **))ep_api[CREATE_HARDWARE_DEVICE])(
        GPU, NVIDIA, 0, "NVIDIA", facts, &gpu);
    if (!status)
        status = ((Status(*)(Factory *, const void *, const void *, const void *, void **))ep_api[CREATE_EP_DEVICE])(
            self, gpu, NULL, NULL, &found[0]);
    if (!status) *count = 1;
    return status;
}

Status CreateEpFactories(const char *name, const ApiBase *base, const void *logger, Factory **made, size_t room, size_t *count) {
    CreateFactories create = (CreateFactories)real("CreateEpFactories");
    Status status;
    api = base->get_api(API_VERSION);
    if (!api) return failed(base->get_api(1), "onnxruntime 1.24 or newer is needed");
    if (!create) return failed(api, dlerror());
    ep_api = ((const void *const *(*)(void))api[GET_EP_API])();
    status = create(name, base, logger, made, room, count);
    for (size_t i = 0; !status && i < *count; i++) made[i]->function[GET_SUPPORTED_DEVICES] = (void *)one_gpu;
    return status;
}

Status ReleaseEpFactory(Factory *factory) {
    return ((Status(*)(Factory *))real("ReleaseEpFactory"))(factory);
}
