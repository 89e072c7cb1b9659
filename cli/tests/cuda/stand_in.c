/* Stand-ins for CUDA's libraries: each answers what the loader asks it, and no more. LIBRARY says which one it is. */
#include <stddef.h>

#define DRIVER 1
#define CUDART 2
#define NVRTC 3
#define CUBLASLT 4
#define CUBLAS 5
#define CURAND 6
#define CUDNN 7
#define PART 8
#define NCCL 9

#if LIBRARY == DRIVER
int cuDriverGetVersion(int *version) { *version = VERSION; return 0; }
int cuInit(unsigned flags) { return flags ? 1 : INIT; }
int cuDeviceGetCount(int *count) { *count = GPUS; return 0; }
int cuGetErrorName(int error, const char **name) {
    *name = error == 100 ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_OUT_OF_MEMORY";
    return 0;
}
int cuGetErrorString(int error, const char **text) { return cuGetErrorName(error, text); }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetName(char *name, int size, int device) {
    const char *own = "Stand-in";
    int i = 0;
    for (; own[i] && i < size - 1; i++) name[i] = own[i];
    name[i] = 0;
    return device >= GPUS;
}
int cuDeviceGetUuid_v2(char uuid[16], int device) {
    for (int i = 0; i < 16; i++) uuid[i] = (char)(i * 17);
    return device >= GPUS;
}
int cuDeviceGetUuid(char uuid[16], int device) { return cuDeviceGetUuid_v2(uuid, device); }
/* Major and minor compute capability, multiprocessors. */
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 16 ? 132 : 0;
    return device >= GPUS;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)80 << 30; return device >= GPUS; }
/* Another process has all of it. */
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = NULL; return device < 0 ? 1 : 2; }
#elif LIBRARY == CUDART
int cudaRuntimeGetVersion(int *version) { *version = VERSION; return 0; }
#elif LIBRARY == NVRTC
int nvrtcVersion(int *major, int *minor) { *major = VERSION / 1000; *minor = VERSION % 1000 / 10; return 0; }
#elif LIBRARY == CUBLASLT
size_t cublasLtGetVersion(void) { return VERSION / 1000 * 10000 + 102; }
#elif LIBRARY == CUBLAS
int cublasGetProperty(int which, int *value) { *value = which == 0 ? VERSION / 1000 : which; return which > 2; }
#elif LIBRARY == CURAND
int curandGetVersion(int *version) { *version = VERSION; return 0; }
#elif LIBRARY == CUDNN
size_t cudnnGetVersion(void) { return VERSION; }
size_t cudnnGetCudartVersion(void) { return MADE_WITH; }
#elif LIBRARY == NCCL
int ncclGetVersion(int *version) { *version = VERSION; return 0; }
#elif LIBRARY == PART
int part;
#endif
