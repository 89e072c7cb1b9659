/* A libcuda.so.1 for machines without a GPU: as much of the driver as cuDNN calls while it makes plans for a described device. Its
   calls into a device fail with CUDA_ERROR_NO_DEVICE; what loads a kernel says that it did. Nothing can run on it. */

enum { SUCCESS = 0, NO_DEVICE = 100, DRIVER_VERSION = 13000 };

#define NO_DEVICE_CALL(name) \
    int name(void) { return NO_DEVICE; }
#define NOTHING_TO_DO(name) \
    int name(void) { return SUCCESS; }
/* An address that is not null; nobody reads there. */
#define HANDS_OUT(name)           \
    int name(void **out)          \
    {                             \
        *out = (void *)0x1000;    \
        return SUCCESS;           \
    }

int cuGetErrorString(int error, const char **text)
{
    (void)error;
    *text = "there is no GPU: this is a stub of the driver";
    return SUCCESS;
}

int cuGetErrorName(int error, const char **text)
{
    (void)error;
    *text = "CUDA_ERROR_NO_DEVICE";
    return SUCCESS;
}

int cuDriverGetVersion(int *version)
{
    *version = DRIVER_VERSION;
    return SUCCESS;
}

int cuKernelGetAttribute(int *value)
{
    *value = 0;
    return SUCCESS;
}

HANDS_OUT(cuModuleGetFunction)
HANDS_OUT(cuModuleLoadData)
HANDS_OUT(cuModuleLoadDataEx)
HANDS_OUT(cuLibraryLoadData)
HANDS_OUT(cuLibraryLoadFromFile)
HANDS_OUT(cuLibraryGetKernel)
HANDS_OUT(cuKernelGetFunction)
NOTHING_TO_DO(cuModuleUnload)
NOTHING_TO_DO(cuLibraryUnload)
NOTHING_TO_DO(cuKernelSetAttribute)
NOTHING_TO_DO(cuFuncSetAttribute)
NO_DEVICE_CALL(cuInit)
NO_DEVICE_CALL(cuGetProcAddress_v2)
NO_DEVICE_CALL(cuDeviceGet)
NO_DEVICE_CALL(cuDeviceGetAttribute)
NO_DEVICE_CALL(cuDeviceGetCount)
NO_DEVICE_CALL(cuCtxGetCurrent)
NO_DEVICE_CALL(cuCtxGetDevice)
NO_DEVICE_CALL(cuCtxGetLimit)
NO_DEVICE_CALL(cuCtxPopCurrent)
NO_DEVICE_CALL(cuCtxPopCurrent_v2)
NO_DEVICE_CALL(cuCtxPushCurrent)
NO_DEVICE_CALL(cuCtxPushCurrent_v2)
NO_DEVICE_CALL(cuFuncGetAttribute)
NO_DEVICE_CALL(cuLaunchCooperativeKernel)
NO_DEVICE_CALL(cuLaunchKernel)
NO_DEVICE_CALL(cuLaunchKernelEx)
NO_DEVICE_CALL(cuLinkAddData)
NO_DEVICE_CALL(cuLinkAddData_v2)
NO_DEVICE_CALL(cuLinkComplete)
NO_DEVICE_CALL(cuLinkCreate)
NO_DEVICE_CALL(cuLinkCreate_v2)
NO_DEVICE_CALL(cuLinkDestroy)
NO_DEVICE_CALL(cuOccupancyMaxActiveBlocksPerMultiprocessor)
NO_DEVICE_CALL(cuOccupancyMaxActiveClusters)
NO_DEVICE_CALL(cuOccupancyMaxPotentialClusterSize)
NO_DEVICE_CALL(cuStreamGetCtx)
NO_DEVICE_CALL(cuTensorMapEncodeIm2col)
NO_DEVICE_CALL(cuTensorMapEncodeTiled)
