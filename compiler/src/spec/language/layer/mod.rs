//! The layers of the unit language: their names, arguments and defaults.
//!
//! | Layer | Arguments and defaults |
//! |---|---|
//! | `convKxK(out, stride=1, padding, dilation=1, groups=1, bias, bias_init)` | `padding = dilation * (K - 1) / 2`: with stride 1 an odd window keeps the size; a bias begins at `bias_init`, else it is drawn |
//! | `scale(by)` | all values times a constant |
//! | `bn(eps=1e-5, momentum=0.1)` | momentum is the weight of the batch, as PyTorch has it; `bn` alone is what the key `norm` says |
//! | `group_norm(groups=32, eps=1e-5)` | statistics per image and group of channels (Wu and He 2018) |
//! | `relu`, `leaky_relu(slope=0.01)`, `sigmoid`, `tanh`, `silu`, `gelu` | `gelu` is the exact one, by the error function |
//! | `dropout(p)`, `drop_path(p)` | in training: elements, or whole images, dropped with probability `p` |
//! | `drop_block(p, size)` | in training: squares of `size` rows and columns dropped, together a share `p` |
//! | `maxpoolKxK(stride=K, padding, ceil)` | `padding = (K - 1) / 2` for odd K, else 0 |
//! | `avgpoolKxK(stride=K, padding=0, ceil, count_padding=true)` | |
//! | `blurpool(stride=2)` | the filter `[1, 2, 1]` in both directions, borders mirrored (Zhang 2019) |
//! | `global_avgpool`, `global_maxpool` | to 1x1 |
//! | `channel_conv(kernel)`, `eca(kernel)` | along the channels of a 1x1 map; with pooling before and a gate behind; `kernel` by the rule of Wang et al. 2020 |
//! | `linear(out, bias=true)` | |
//!
//! A flag is given by its name alone, `bias`, or with a value, `bias=false`.

mod bind;
mod kind;
mod table;

pub use bind::{Bound, Eval, bind, is_layer};
pub use kind::Layer;
pub use table::{MAX_CHANNELS, names_alone};
