//! The names that a pickle of weights may use. None of them is called: each stands for something that is understood here.

use crate::dtype::DType;

/// What a name of a pickle means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    /// Makes a dictionary.
    Dict,
    /// Makes a tensor of a storage.
    Tensor,
    /// Hands a tensor on.
    Parameter,
    /// The type of a storage.
    Storage(DType),
    /// Something that is no weight, and whose content nobody asks for.
    Opaque,
}

/// Settings, times and counters that people save beside weights. They are passed over, not made.
const OPAQUE: &[(&str, &[&str])] = &[
    ("argparse", &["Namespace"]),
    ("collections", &["Counter", "deque"]),
    ("datetime", &["datetime", "timedelta", "date"]),
    ("pathlib", &["PosixPath", "WindowsPath", "Path"]),
    ("numpy", &["dtype", "ndarray"]),
    ("numpy.core.multiarray", &["scalar", "_reconstruct"]),
    ("numpy._core.multiarray", &["scalar", "_reconstruct"]),
    ("_codecs", &["encode"]),
    ("torch", &["Size", "device", "Generator"]),
    ("torch.serialization", &["_get_layout"]),
    ("builtins", &["set", "frozenset", "list", "dict", "tuple", "int", "float", "bool", "str", "slice"]),
    ("__builtin__", &["set", "frozenset", "list", "dict", "tuple", "int", "float", "bool", "str", "slice"]),
];

/// What a pickle's name means; `None`: it is not on the list.
pub(super) fn global(module: &str, name: &str) -> Option<Global> {
    Some(match (module, name) {
        ("collections", "OrderedDict" | "defaultdict") => Global::Dict,
        ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Global::Tensor,
        ("torch._utils", "_rebuild_parameter") => Global::Parameter,
        ("torch" | "torch.cuda" | "torch.storage", name) if DType::of_storage(name).is_some() => {
            Global::Storage(DType::of_storage(name)?)
        }
        ("torch", name) if is_dtype(name) => Global::Opaque,
        _ => {
            let known = OPAQUE.iter().any(|(known, names)| *known == module && names.contains(&name));
            known.then_some(Global::Opaque)?
        }
    })
}

/// `float32`
fn is_dtype(name: &str) -> bool {
    let kinds = ["float", "int", "uint", "bfloat", "complex"];
    let digits = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    name == "bool" || kinds.iter().any(|kind| name.strip_prefix(kind).is_some_and(digits))
}
