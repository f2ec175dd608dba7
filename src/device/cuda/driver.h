/* The driver API (libcuda), resolved at run time. Types and numbers are those of cuda.h, written down here because a
 * build must not need the toolkit; every symbol is named with the version suffix that has meant the same since
 * CUDA 11.8. */
#ifndef TAPER_DEVICE_CUDA_DRIVER_H
#define TAPER_DEVICE_CUDA_DRIVER_H

#include "device/cuda/cuda.h"

typedef int taper_cu_result;             /* CUresult */
typedef int taper_cu_device;             /* CUdevice */
typedef void *taper_cu_object;           /* CUcontext, CUstream, CUevent, CUmodule, CUfunction, CUgraph, ... */
typedef unsigned long long taper_cu_ptr; /* CUdeviceptr */

enum {
    TAPER_CU_OUT_OF_MEMORY = 2,
    TAPER_CU_DEINITIALIZED = 4,
    TAPER_CU_STUB_LIBRARY = 34,
    TAPER_CU_DEVICE_UNAVAILABLE = 46,
    TAPER_CU_NO_DEVICE = 100,
    TAPER_CU_INVALID_CONTEXT = 201,
    TAPER_CU_NO_BINARY_FOR_GPU = 209,
    TAPER_CU_JIT_COMPILER_NOT_FOUND = 221,
    TAPER_CU_UNSUPPORTED_PTX_VERSION = 222,
    TAPER_CU_OPERATING_SYSTEM = 304,
    TAPER_CU_INVALID_HANDLE = 400,
    TAPER_CU_NOT_FOUND = 500,
    TAPER_CU_NOT_READY = 600,
    TAPER_CU_ILLEGAL_ADDRESS = 700,
    TAPER_CU_PEER_ACCESS_ALREADY_ENABLED = 704,
    TAPER_CU_SYSTEM_NOT_READY = 802,
    TAPER_CU_SYSTEM_DRIVER_MISMATCH = 803,
    TAPER_CU_COMPAT_NOT_SUPPORTED_ON_DEVICE = 804,
    TAPER_CU_UNKNOWN = 999,
};

/* CUdevice_attribute */
enum {
    TAPER_CU_ATTR_SHARED_PER_BLOCK = 8,
    TAPER_CU_ATTR_WARP_SIZE = 10,
    TAPER_CU_ATTR_CLOCK_RATE = 13,
    TAPER_CU_ATTR_MULTIPROCESSORS = 16,
    TAPER_CU_ATTR_PCI_BUS = 33,
    TAPER_CU_ATTR_PCI_DEVICE = 34,
    TAPER_CU_ATTR_MEMORY_CLOCK_RATE = 36,
    TAPER_CU_ATTR_MEMORY_BUS_WIDTH = 37,
    TAPER_CU_ATTR_L2_BYTES = 38,
    TAPER_CU_ATTR_THREADS_PER_MULTIPROCESSOR = 39,
    TAPER_CU_ATTR_PCI_DOMAIN = 50,
    TAPER_CU_ATTR_MAJOR = 75,
    TAPER_CU_ATTR_MINOR = 76,
    TAPER_CU_ATTR_SHARED_PER_MULTIPROCESSOR = 81,
    TAPER_CU_ATTR_REGISTERS_PER_MULTIPROCESSOR = 82,
    TAPER_CU_ATTR_SHARED_PER_BLOCK_OPTIN = 97,
    TAPER_CU_ATTR_VIRTUAL_MEMORY = 102,
};

enum {
    TAPER_CU_STREAM_NON_BLOCKING = 1,
    TAPER_CU_EVENT_BLOCKING_SYNC = 1,
    TAPER_CU_EVENT_NO_TIMING = 2,
    TAPER_CU_CAPTURE_THREAD_LOCAL = 1,
    TAPER_CU_CAPTURE_RELAXED = 2,
    TAPER_CU_HOST_PORTABLE = 1,
    TAPER_CU_HOST_DEVICEMAP = 2,
    TAPER_CU_FUNC_MAX_DYNAMIC_SHARED = 8,
    TAPER_CU_FUNC_NON_PORTABLE_CLUSTER = 14,
    TAPER_CU_LAUNCH_COOPERATIVE = 2,
    TAPER_CU_LAUNCH_CLUSTER = 4,
    TAPER_CU_LAUNCH_PROGRAMMATIC_STREAM_SERIALIZATION = 6,
    TAPER_CU_POINTER_MEMORY_TYPE = 2,
    TAPER_CU_MEMORY_TYPE_HOST = 1,
};

typedef struct taper_cu_location {
    int type, id; /* 1: device */
} taper_cu_location;

/* CUmemAllocationProp */
typedef struct taper_cu_allocation {
    int type; /* 1: pinned */
    int handle_types;
    taper_cu_location location;
    void *win32;
    struct {
        unsigned char compression, rdma;
        unsigned short usage;
        unsigned char reserved[4];
    } flags;
} taper_cu_allocation;

/* CUmemAccessDesc */
typedef struct taper_cu_access {
    taper_cu_location location;
    int flags; /* 3: read and write */
} taper_cu_access;

typedef struct taper_cu_launch_attribute {
    int id;
    char pad[4];
    union {
        char pad[64];
        int flag;
        struct {
            unsigned x, y, z;
        } cluster;
    } value;
} taper_cu_launch_attribute;

typedef struct taper_cu_launch_config {
    unsigned grid[3], block[3], shared_bytes;
    taper_cu_object stream;
    taper_cu_launch_attribute *attributes;
    unsigned attribute_count;
} taper_cu_launch_config;

/* CUDA_KERNEL_NODE_PARAMS_v2 */
typedef struct taper_cu_kernel_node {
    taper_cu_object function;
    unsigned grid[3], block[3], shared_bytes;
    void **arguments, **extra;
    taper_cu_object kernel, context;
} taper_cu_kernel_node;

/* X(field, symbol, optional, parameters). Optional ones are NULL on drivers that lack them. */
#define TAPER_DRIVER_MAP(X)                                                                                            \
    X(init, "cuInit", 0, (unsigned flags))                                                                             \
    X(driver_version, "cuDriverGetVersion", 0, (int *version))                                                         \
    X(error_name, "cuGetErrorName", 0, (taper_cu_result r, const char **text))                                         \
    X(error_string, "cuGetErrorString", 0, (taper_cu_result r, const char **text))                                     \
    X(device_count, "cuDeviceGetCount", 0, (int *count))                                                               \
    X(device_get, "cuDeviceGet", 0, (taper_cu_device * device, int ordinal))                                           \
    X(device_name, "cuDeviceGetName", 0, (char *name, int size, taper_cu_device device))                               \
    X(device_total, "cuDeviceTotalMem_v2", 0, (size_t * bytes, taper_cu_device device))                                \
    X(device_attribute, "cuDeviceGetAttribute", 0, (int *value, int attribute, taper_cu_device device))                \
    X(device_uuid, "cuDeviceGetUuid_v2", 1, (void *uuid16, taper_cu_device device))                                    \
    X(can_access_peer, "cuDeviceCanAccessPeer", 0, (int *can, taper_cu_device from, taper_cu_device to))               \
    X(context_retain, "cuDevicePrimaryCtxRetain", 0, (taper_cu_object * context, taper_cu_device device))              \
    X(context_set, "cuCtxSetCurrent", 0, (taper_cu_object context))                                                    \
    X(context_get, "cuCtxGetCurrent", 0, (taper_cu_object * context))                                                  \
    X(context_synchronize, "cuCtxSynchronize", 0, (void))                                                              \
    X(context_peer, "cuCtxEnablePeerAccess", 0, (taper_cu_object peer, unsigned flags))                                \
    X(priority_range, "cuCtxGetStreamPriorityRange", 0, (int *least, int *greatest))                                   \
    X(mem_info, "cuMemGetInfo_v2", 0, (size_t * free_bytes, size_t * total))                                           \
    X(mem_alloc, "cuMemAlloc_v2", 0, (taper_cu_ptr * p, size_t bytes))                                                 \
    X(mem_free, "cuMemFree_v2", 0, (taper_cu_ptr p))                                                                   \
    X(address_reserve, "cuMemAddressReserve", 0,                                                                       \
      (taper_cu_ptr * p, size_t size, size_t alignment, taper_cu_ptr hint, unsigned long long flags))                  \
    X(address_free, "cuMemAddressFree", 0, (taper_cu_ptr p, size_t size))                                              \
    X(mem_create, "cuMemCreate", 0,                                                                                    \
      (unsigned long long *handle, size_t size, const taper_cu_allocation *what, unsigned long long flags))            \
    X(mem_release, "cuMemRelease", 0, (unsigned long long handle))                                                     \
    X(mem_map, "cuMemMap", 0,                                                                                          \
      (taper_cu_ptr p, size_t size, size_t offset, unsigned long long handle, unsigned long long flags))               \
    X(mem_unmap, "cuMemUnmap", 0, (taper_cu_ptr p, size_t size))                                                       \
    X(mem_access, "cuMemSetAccess", 0, (taper_cu_ptr p, size_t size, const taper_cu_access *who, size_t count))        \
    X(mem_granularity, "cuMemGetAllocationGranularity", 0,                                                             \
      (size_t * bytes, const taper_cu_allocation *what, int option))                                                   \
    X(host_alloc, "cuMemHostAlloc", 0, (void **p, size_t bytes, unsigned flags))                                       \
    X(host_free, "cuMemFreeHost", 0, (void *p))                                                                        \
    X(host_device_pointer, "cuMemHostGetDevicePointer_v2", 0, (taper_cu_ptr * p, void *host, unsigned flags))          \
    X(pointer_attributes, "cuPointerGetAttributes", 0, (unsigned n, int *attributes, void **data, taper_cu_ptr p))       \
    X(copy_to_device, "cuMemcpyHtoDAsync_v2", 0,                                                                       \
      (taper_cu_ptr dst, const void *src, size_t n, taper_cu_object stream))                                           \
    X(copy_to_host, "cuMemcpyDtoHAsync_v2", 0, (void *dst, taper_cu_ptr src, size_t n, taper_cu_object stream))        \
    X(copy_on_device, "cuMemcpyDtoDAsync_v2", 0,                                                                       \
      (taper_cu_ptr dst, taper_cu_ptr src, size_t n, taper_cu_object stream))                                          \
    X(set_bytes, "cuMemsetD8Async", 0, (taper_cu_ptr p, unsigned char value, size_t n, taper_cu_object stream))        \
    X(stream_create, "cuStreamCreateWithPriority", 0, (taper_cu_object * stream, unsigned flags, int priority))        \
    X(stream_destroy, "cuStreamDestroy_v2", 0, (taper_cu_object stream))                                               \
    X(stream_synchronize, "cuStreamSynchronize", 0, (taper_cu_object stream))                                          \
    X(stream_query, "cuStreamQuery", 0, (taper_cu_object stream))                                                      \
    X(stream_wait, "cuStreamWaitEvent", 0, (taper_cu_object stream, taper_cu_object event, unsigned flags))            \
    X(event_create, "cuEventCreate", 0, (taper_cu_object * event, unsigned flags))                                     \
    X(event_destroy, "cuEventDestroy_v2", 0, (taper_cu_object event))                                                  \
    X(event_record, "cuEventRecord", 0, (taper_cu_object event, taper_cu_object stream))                               \
    X(event_query, "cuEventQuery", 0, (taper_cu_object event))                                                         \
    X(event_synchronize, "cuEventSynchronize", 0, (taper_cu_object event))                                             \
    X(event_elapsed, "cuEventElapsedTime", 0, (float *ms, taper_cu_object begin, taper_cu_object end))                 \
    X(capture_begin, "cuStreamBeginCapture_v2", 0, (taper_cu_object stream, int mode))                                 \
    X(capture_end, "cuStreamEndCapture", 0, (taper_cu_object stream, taper_cu_object * graph))                         \
    X(capture_mode, "cuThreadExchangeStreamCaptureMode", 0, (int *mode))                                               \
    X(graph_instantiate, "cuGraphInstantiateWithFlags", 0,                                                             \
      (taper_cu_object * exec, taper_cu_object graph, unsigned long long flags))                                       \
    X(graph_nodes, "cuGraphGetNodes", 0, (taper_cu_object graph, taper_cu_object * nodes, size_t * count))             \
    X(graph_node_type, "cuGraphNodeGetType", 0, (taper_cu_object node, int *type))                                     \
    X(graph_kernel_get, "cuGraphKernelNodeGetParams_v2", 1, (taper_cu_object node, taper_cu_kernel_node * params))     \
    X(graph_kernel_set, "cuGraphExecKernelNodeSetParams_v2", 1,                                                        \
      (taper_cu_object exec, taper_cu_object node, const taper_cu_kernel_node *params))                                \
    X(graph_launch, "cuGraphLaunch", 0, (taper_cu_object exec, taper_cu_object stream))                                \
    X(graph_upload, "cuGraphUpload", 0, (taper_cu_object exec, taper_cu_object stream))                                \
    X(graph_exec_destroy, "cuGraphExecDestroy", 0, (taper_cu_object exec))                                             \
    X(graph_destroy, "cuGraphDestroy", 0, (taper_cu_object graph))                                                     \
    X(module_load, "cuModuleLoadDataEx", 0,                                                                            \
      (taper_cu_object * module, const void *image, unsigned n, int *options, void **values))                          \
    X(module_function, "cuModuleGetFunction", 0,                                                                       \
      (taper_cu_object * function, taper_cu_object module, const char *name))                                          \
    X(module_unload, "cuModuleUnload", 0, (taper_cu_object module))                                                    \
    X(library_load, "cuLibraryLoadData", 1,                                                                            \
      (taper_cu_object * library, const void *image, int *jit, void **jit_values, unsigned njit, int *options,         \
       void **values, unsigned n))                                                                                     \
    X(library_kernel, "cuLibraryGetKernel", 1, (taper_cu_object * kernel, taper_cu_object library, const char *name))  \
    X(kernel_function, "cuKernelGetFunction", 1, (taper_cu_object * function, taper_cu_object kernel))                 \
    X(function_set, "cuFuncSetAttribute", 0, (taper_cu_object function, int attribute, int value))                     \
    X(function_get, "cuFuncGetAttribute", 0, (int *value, int attribute, taper_cu_object function))                    \
    X(launch, "cuLaunchKernel", 0,                                                                                     \
      (taper_cu_object function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,         \
       unsigned shared_bytes, taper_cu_object stream, void **arguments, void **extra))                                 \
    X(launch_ex, "cuLaunchKernelEx", 1,                                                                                \
      (const taper_cu_launch_config *config, taper_cu_object function, void **arguments, void **extra))                \
    X(occupancy, "cuOccupancyMaxActiveBlocksPerMultiprocessor", 0,                                                     \
      (int *blocks, taper_cu_object function, int threads, size_t shared_bytes))                                       \
    X(tensor_map_tiled, "cuTensorMapEncodeTiled", 1,                                                                   \
      (void *map, int type, unsigned rank, void *base, const uint64_t *sizes, const uint64_t *strides,                 \
       const uint32_t *box, const uint32_t *element_strides, int interleave, int swizzle, int promotion, int fill))

typedef struct taper_driver {
#define TAPER_DRIVER_FIELD(field, symbol, optional, parameters) taper_cu_result(*field) parameters;
    TAPER_DRIVER_MAP(TAPER_DRIVER_FIELD)
#undef TAPER_DRIVER_FIELD
} taper_driver;

/* Filled when taper__driver_open has returned a count above 0. */
extern taper_driver taper__cu;

/* Loads and initialises the driver once. GPUs found; 0 with a sentence. */
int taper__driver_open(const char **why);
int taper__driver_version(void); /* 12040 for 12.4; 0 when not loaded */

/* The sentence for a failed start. visible: CUDA_VISIBLE_DEVICES or NULL; node_errno: what opening /dev/nvidiactl gave.
 */
void taper__driver_sentence(char *text, size_t size, taper_cu_result result, const char *visible, int node_errno);

/* Records a message in torch's words; MEMORY for out of memory, RUNTIME for the rest. */
taper_status taper__cu_fail(taper_cu_result result, const char *call, const char *op);
static inline taper_status taper__cu_check(taper_cu_result result, const char *call, const char *op) {
    return TAPER_LIKELY(!result) ? TAPER_OK : taper__cu_fail(result, call, op);
}

#endif
