//! The names that a pickle of weights may use. None of them is called: each stands for something that is understood here.

use crate::dtype::DType;
use crate::pickle::{Global, Vocabulary};

/// Those of weights.
pub(super) static WEIGHTS: Vocabulary = Vocabulary {
    names: global,
    needs: "weights need",
    instead: "A whole model, or another object, that was pickled cannot be read: save its `state_dict()`, best as safetensors",
};

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
fn global(module: &str, name: &str) -> Option<Global> {
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
