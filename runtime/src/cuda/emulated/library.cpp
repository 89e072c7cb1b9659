// All kernels as a library of the host.
#define RESNETC_HOST
#include "../kernels/channels.cu"
#include "../kernels/convert.cu"
#include "../kernels/drop.cu"
#include "../kernels/elementwise.cu"
#include "../kernels/feed.cu"
#include "../kernels/fold.cu"
#include "../kernels/global_pool.cu"
#include "../kernels/group.cu"
#include "../kernels/loss.cu"
#include "../kernels/norm.cu"
#include "../kernels/pooling.cu"
#include "../kernels/product.cu"
#include "../kernels/ranks.cu"
#include "../kernels/muon.cu"
#include "../kernels/update.cu"

#include "table.h"
