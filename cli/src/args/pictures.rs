//! Arguments of `resnetc run SPEC --predict`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use resnetc_pictures::Limits;

use super::overrides::positive;

/// Which pictures are classified, and how the answers are told.
#[derive(Debug, Default, Args)]
pub struct PictureArgs {
    /// Classify pictures: files, folders with all that is below them, or `-` for one on standard input.
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with_all = ["train", "input"], requires = "weights", help_heading = "What to do")]
    pub predict: Vec<PathBuf>,

    /// Classes that are told of each picture, the likeliest first [default: 5].
    #[arg(long, value_name = "N", requires = "predict", value_parser = positive, allow_negative_numbers = true)]
    #[arg(help_heading = "Pictures")]
    pub top: Option<usize>,
    /// Print the answers as lines of comma-separated values.
    #[arg(long, requires = "predict", conflicts_with = "json", help_heading = "Pictures")]
    pub csv: bool,
    /// Names of the classes: a line for each, a JSON list, or a JSON map from numbers to names [default: those of the data set that
    /// the weights are of].
    #[arg(long, value_name = "FILE", requires = "predict", help_heading = "Pictures")]
    pub classes: Option<PathBuf>,
    /// Write the picture with what spoke for its first class as colours over it (Grad-CAM), as PNG.
    #[arg(long, value_name = "OUT.png", requires = "predict", help_heading = "Pictures")]
    pub explain_picture: Option<PathBuf>,
    /// Most pixels of a picture [default: 128000000].
    #[arg(long, value_name = "N", requires = "predict", value_parser = positive, allow_negative_numbers = true)]
    #[arg(help_heading = "Pictures")]
    pub max_pixels: Option<usize>,
}

impl PictureArgs {
    /// How large a picture may be.
    pub fn limits(&self) -> Limits {
        let limits = Limits::default();
        Limits { pixels: self.max_pixels.map_or(limits.pixels, |pixels| pixels as u64), ..limits }
    }
}

/// Test-time augmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TtaArg {
    /// One view.
    None,
    /// The image and its mirror image.
    Flip,
    /// Corners and middle of the resized picture.
    FiveCrop,
    /// These, and those of the mirrored picture.
    TenCrop,
}

impl TtaArg {
    /// As an override.
    pub fn set(self) -> String {
        let value = match self {
            TtaArg::None => "none",
            TtaArg::Flip => "flip",
            TtaArg::FiveCrop => "{crops: 5}",
            TtaArg::TenCrop => "{crops: 10}",
        };
        format!("train.tta={value}")
    }
}
