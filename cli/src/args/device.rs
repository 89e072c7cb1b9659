//! `--device`.

use std::str::FromStr;

/// What kernels run on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceArg {
    /// The first GPU, or the CPU where there is none.
    Auto,
    /// The vectorised kernels.
    #[default]
    Cpu,
    /// Plain Candle tensor operations on the CPU.
    Reference,
    /// The NVIDIA GPU of that number; without one the process's own: the first, or that of its number among those of a launcher on its host.
    Cuda(Option<usize>),
}

/// What the values mean.
pub const HELP: &str = "\
What to run on:
  cpu        the vectorised kernels
  reference  plain Candle operations on the CPU: slow, what the others are checked against
  cuda       an NVIDIA GPU; cuda:1 is the second. Several processes take one each.
             Needs a build with `--features cuda`
  auto       cuda where that can be used, else cpu; says which, and why
`resnetc devices` lists what there is.";

impl FromStr for DeviceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number =
            |text: &str| text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        match text.split_once(':') {
            None if text == "auto" => Some(DeviceArg::Auto),
            None if text == "cpu" => Some(DeviceArg::Cpu),
            None if text == "reference" => Some(DeviceArg::Reference),
            None if text == "cuda" => Some(DeviceArg::Cuda(None)),
            Some(("cuda", ordinal)) => number(ordinal).map(|ordinal| DeviceArg::Cuda(Some(ordinal))),
            _ => None,
        }
        .ok_or_else(|| "auto, cpu, reference, cuda or cuda:N is needed".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_have_numbers() {
        let read = |text: &str| text.parse::<DeviceArg>().ok();
        let cuda = |ordinal| Some(DeviceArg::Cuda(Some(ordinal)));
        assert_eq!(read("auto"), Some(DeviceArg::Auto));
        assert_eq!(read("cuda"), Some(DeviceArg::Cuda(None)));
        assert_eq!((read("cuda:0"), read("cuda:12")), (cuda(0), cuda(12)));
        for wrong in
            ["", "cuda:", "cuda:-1", "cuda:+1", "cuda:x", "cpu:0", "CUDA", "gpu", "cuda:99999999999999999999"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
