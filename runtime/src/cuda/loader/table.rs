//! The libraries: what each is called, and what asks its version.

#![forbid(unsafe_code)]

use std::ffi::c_int;
use std::fmt;

/// The CUDA that the bindings and the kernels of this build are of, as CUDA counts: 13.0 is 13000.
pub const BUILT_FOR: c_int = cudarc::driver::sys::CUDA_VERSION as c_int;

/// Major version of [`BUILT_FOR`], which names of files end in.
pub const MAJOR: c_int = BUILT_FOR / 1000;

/// The oldest cuDNN that has all that the bindings name.
pub const OLDEST_CUDNN: c_int = 91_000;

/// The oldest NCCL that has communicators which do not block.
pub const OLDEST_NCCL: c_int = 21_400;

/// A library.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// As people call it.
    pub name: &'static str,
    /// Between `lib` and `.so`.
    pub stem: &'static str,
    /// Behind `.so.`.
    pub major: c_int,
    /// The function that tells its version.
    pub version: Asked,
    /// Files beside it that it loads itself, without their major version; it ends the process where one is missing.
    pub parts: &'static [&'static str],
    /// Whether nothing goes without it.
    pub required: bool,
    /// The package of Python that brings it, without the ending that names CUDA's version.
    pub package: &'static str,
}

/// A function that tells a version, by its signature.
#[derive(Debug, Clone, Copy)]
pub enum Asked {
    /// `status f(int *version)`, with major versions in thousands.
    Thousands(&'static str),
    /// The same with major versions in ten thousands.
    TenThousands(&'static str),
    /// `size_t f()`, with major versions in ten thousands.
    Size(&'static str),
    /// `status f(int *major, int *minor)`.
    Pair(&'static str),
    /// `status f(int which, int *value)`: 0 the major version, 1 the minor one, 2 the patch.
    Property(&'static str),
}

impl Asked {
    /// The function's name.
    pub fn symbol(self) -> &'static str {
        match self {
            Asked::Thousands(name)
            | Asked::TenThousands(name)
            | Asked::Size(name)
            | Asked::Pair(name)
            | Asked::Property(name) => name,
        }
    }
}

/// A version: `9.13.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub Vec<c_int>);

impl Version {
    /// 13000 is 13.0, 10304 is 10.3.
    pub fn of_thousands(number: c_int) -> Self {
        // CUDA has minor versions in tens, cuRAND in hundreds.
        let minor = if number >= 11_000 { number % 1000 / 10 } else { number % 1000 / 100 };
        Version(vec![number / 1000, minor])
    }

    /// 91300 is 9.13.0.
    pub fn of_ten_thousands(number: c_int) -> Self {
        Version(vec![number / 10_000, number / 100 % 100, number % 100])
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(c_int::to_string).collect::<Vec<_>>().join("."))
    }
}

impl Entry {
    /// The name that programs link with: `libcudnn.so`.
    pub fn plain(&self) -> String {
        format!("lib{}.so", self.stem)
    }

    /// The name of the file that has this build's version: `libcudnn.so.9`.
    pub fn file(&self) -> String {
        format!("{}.{}", self.plain(), self.major)
    }

    /// How to get it.
    pub fn advice(&self) -> String {
        let release = driver_release(MAJOR);
        match self.stem {
            "cuda" => format!(
                "It comes with NVIDIA's driver: install release {release} or later. A container must be given the GPU."
            ),
            "nccl" => format!(
                "Processes that share a training on GPUs need it, one alone does not. `pip install {}` brings it; name its folder in \
                 LD_LIBRARY_PATH where it lies elsewhere.",
                self.package()
            ),
            _ => format!(
                "`pip install {}` brings it, as CUDA's toolkit and packages of distributions do; name its folder in LD_LIBRARY_PATH \
                 where it lies elsewhere.",
                self.package()
            ),
        }
    }
}

impl Entry {
    /// NVIDIA's packages name CUDA's version, but for those of CUDA itself from 13 on.
    fn package(&self) -> String {
        match (self.stem, MAJOR) {
            ("cudnn" | "nccl", _) | (_, ..13) => format!("{}-cu{MAJOR}", self.package),
            (_, 13..) => self.package.to_owned(),
        }
    }
}

/// The release of the driver from which on it has CUDA of that major version: 580 has 13.0.
pub fn driver_release(major: c_int) -> c_int {
    match major {
        ..12 => 450,
        12 => 525,
        13.. => 580,
    }
}

const NONE: &[&str] = &[];

/// The driver; its version is the newest CUDA that it has.
pub const DRIVER: Entry = Entry {
    name: "driver",
    stem: "cuda",
    major: 1,
    version: Asked::Thousands("cuDriverGetVersion"),
    parts: NONE,
    required: true,
    package: "",
};

/// cuDNN, which is loaded last: what it loads in turn is there by then.
pub const CUDNN: Entry = Entry {
    name: "cuDNN",
    stem: "cudnn",
    major: 9,
    version: Asked::Size("cudnnGetVersion"),
    parts: &["graph", "ops", "cnn", "heuristic", "engines_precompiled", "engines_runtime_compiled"],
    required: true,
    package: "nvidia-cudnn",
};

/// NCCL, which only those load who train on several GPUs.
pub const NCCL: Entry = Entry {
    name: "NCCL",
    stem: "nccl",
    major: 2,
    version: Asked::TenThousands("ncclGetVersion"),
    parts: NONE,
    required: false,
    package: "nvidia-nccl",
};

/// What stands between the two, in the order of loading. NVRTC compiles cuDNN's fused engines: cuDNN of 9.13 has none, silently,
/// where it was not loaded before. Candle makes a generator of cuRAND with each device. Of the runtime nothing is called that it would
/// be missed for.
pub const BETWEEN: [Entry; 5] = [
    Entry {
        name: "CUDA runtime",
        stem: "cudart",
        major: MAJOR,
        version: Asked::Thousands("cudaRuntimeGetVersion"),
        parts: NONE,
        required: false,
        package: "nvidia-cuda-runtime",
    },
    Entry {
        name: "NVRTC",
        stem: "nvrtc",
        major: MAJOR,
        version: Asked::Pair("nvrtcVersion"),
        parts: NONE,
        required: true,
        package: "nvidia-cuda-nvrtc",
    },
    Entry {
        name: "cuBLASLt",
        stem: "cublasLt",
        major: MAJOR,
        version: Asked::Size("cublasLtGetVersion"),
        parts: NONE,
        required: true,
        package: "nvidia-cublas",
    },
    Entry {
        name: "cuBLAS",
        stem: "cublas",
        major: MAJOR,
        version: Asked::Property("cublasGetProperty"),
        parts: NONE,
        required: true,
        package: "nvidia-cublas",
    },
    Entry {
        name: "cuRAND",
        stem: "curand",
        major: 10,
        version: Asked::Thousands("curandGetVersion"),
        parts: NONE,
        required: true,
        package: "nvidia-curand",
    },
];

/// Files that have NVTX's functions, from CUDA 13 on and before 12.9; in between toolkits brought headers alone.
pub const RANGES: [&str; 2] = ["libnvtx3interop.so.1", "libnvToolsExt.so.1"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_each_library_counts() {
        assert_eq!(Version::of_thousands(12_080).to_string(), "12.8");
        assert_eq!(Version::of_thousands(13_000).to_string(), "13.0");
        assert_eq!(Version::of_thousands(10_304).to_string(), "10.3");
        assert_eq!(Version::of_ten_thousands(91_300).to_string(), "9.13.0");
    }

    #[test]
    fn files_are_called_by_their_major_version() {
        assert_eq!(DRIVER.file(), "libcuda.so.1");
        assert_eq!(CUDNN.file(), "libcudnn.so.9");
        assert!(
            CUDNN.advice().contains(&format!("pip install nvidia-cudnn-cu{MAJOR}`")),
            "{}",
            CUDNN.advice()
        );
        assert_eq!((driver_release(12), driver_release(13)), (525, 580));
    }
}
