//! NVIDIA GPUs.

pub mod cudnn;
