//! Which published files are the weights of which compiled-in network: torchvision's of version 0.29 (`models/resnet.py` and
//! `models/densenet.py`). timm's are in [`crate::timm`].

/// Where torchvision's files lie.
pub(super) const TORCHVISION: &str = "https://download.pytorch.org/models";

/// A file that torchvision published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Published {
    /// The compiled-in network.
    pub network: &'static str,
    /// torchvision's word for how it was trained, `IMAGENET1K_V1` without its beginning.
    pub version: &'static str,
    /// Its name ends with the first eight digits of its SHA-256.
    pub file: &'static str,
}

const fn tv(network: &'static str, version: &'static str, file: &'static str) -> Published {
    Published { network, version, file }
}

/// Of a network the last one is torchvision's `DEFAULT`.
pub(super) const FILES: &[Published] = &[
    tv("resnet18", "V1", "resnet18-f37072fd.pth"),
    tv("resnet34", "V1", "resnet34-b627a593.pth"),
    tv("resnet50", "V1", "resnet50-0676ba61.pth"),
    tv("resnet50", "V2", "resnet50-11ad3fa6.pth"),
    tv("resnet101", "V1", "resnet101-63fe2227.pth"),
    tv("resnet101", "V2", "resnet101-cd907fc2.pth"),
    tv("resnet152", "V1", "resnet152-394f9c45.pth"),
    tv("resnet152", "V2", "resnet152-f82ba261.pth"),
    tv("resnext50_32x4d", "V1", "resnext50_32x4d-7cdf4587.pth"),
    tv("resnext50_32x4d", "V2", "resnext50_32x4d-1a0047aa.pth"),
    tv("resnext101_32x8d", "V1", "resnext101_32x8d-8ba56ff5.pth"),
    tv("resnext101_32x8d", "V2", "resnext101_32x8d-110c445d.pth"),
    tv("resnext101_64x4d", "V1", "resnext101_64x4d-173b62eb.pth"),
    tv("wide_resnet50_2", "V1", "wide_resnet50_2-95faca4d.pth"),
    tv("wide_resnet50_2", "V2", "wide_resnet50_2-9ba9bcbe.pth"),
    tv("wide_resnet101_2", "V1", "wide_resnet101_2-32ee1156.pth"),
    tv("wide_resnet101_2", "V2", "wide_resnet101_2-d733dc28.pth"),
    tv("densenet121", "V1", "densenet121-a639ec97.pth"),
    tv("densenet161", "V1", "densenet161-8d451a50.pth"),
    tv("densenet169", "V1", "densenet169-b2777c0a.pth"),
    tv("densenet201", "V1", "densenet201-c1103571.pth"),
];

/// The digits in a file's name: `11ad3fa6` of `resnet50-11ad3fa6.pth`.
pub(super) fn digits(file: &str) -> Option<&str> {
    let digits = file.rsplit_once('-')?.1.split('.').next()?;
    let are_digits = digits.len() >= 8 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    are_digits.then_some(digits)
}

#[cfg(test)]
mod tests {
    use resnetc_compiler::spec::builtin;

    use super::*;

    #[test]
    fn networks_are_compiled_in_and_files_have_checksums() {
        let known = |name: &str| builtin::specs().any(|spec| spec.name == name);
        for Published { network, file, .. } in FILES {
            assert!(known(network), "{network}");
            assert!(file.starts_with(&format!("{network}-")), "{file}");
            assert_eq!(digits(file).map(str::len), Some(8), "{file}");
        }
        assert_eq!((digits("resnet50.pth"), digits("resnet50-latest.pth")), (None, None));
    }

    #[test]
    fn a_version_stands_once() {
        for (index, a) in FILES.iter().enumerate() {
            assert!(
                FILES[..index]
                    .iter()
                    .all(|b| (a.network, a.version) != (b.network, b.version) && a.file != b.file)
            );
        }
    }
}
