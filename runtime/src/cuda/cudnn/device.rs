//! Descriptions of GPUs as cuDNN writes and takes them: one JSON object of their properties. With one of them plans are made
//! where there is no such GPU.

use serde::Deserialize;

use super::fault::{Fault, Result};

/// A GPU's properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    json: String,
    fields: Fields,
}

/// Those properties that are read here; cuDNN reads all.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    device_name: String,
    /// 900 is 9.0.
    device_ver: u32,
    /// 13000 is 13.0.
    driver_ver: u32,
    multi_processor_count: u32,
    #[serde(default)]
    sm_count_origin: u32,
    /// Bits.
    memory_bus_width: u32,
}

/// Descriptions that are compiled in, by the names that users give. Their numbers were written by hand, from published
/// specifications: what cuDNN compares (see [`Device::key`]) is what a GPU of that kind has, clocks may differ.
const KNOWN: &[(&str, &str)] = &[
    ("h100-sxm", include_str!("devices/h100-sxm.json")),
    ("h200-sxm", include_str!("devices/h200-sxm.json")),
];

/// What an architecture alone means: `sm_90` is an H100 SXM.
const BY_ARCHITECTURE: &[(&str, &str)] = &[("sm_90", "h100-sxm")];

impl Device {
    /// From a description as cuDNN writes it.
    ///
    /// # Errors
    /// Where it is no such object.
    pub fn parse(json: &str) -> Result<Self> {
        let fields = serde_json::from_str(json).map_err(|error| {
            Fault::refused(format!("this is no description of a GPU as cuDNN writes them: {error}"))
        })?;
        Ok(Device { json: json.trim().to_owned(), fields })
    }

    /// One of those that are compiled in: `h100-sxm`, or an architecture, `sm_90`.
    ///
    /// # Errors
    /// Where none has that name; it says which there are.
    pub fn named(name: &str) -> Result<Self> {
        let meant = BY_ARCHITECTURE.iter().find(|(architecture, _)| *architecture == name);
        let full = meant.map_or(name, |(_, full)| full);
        match KNOWN.iter().find(|(known, _)| *known == full) {
            Some((_, json)) => Device::parse(json),
            None => Err(Fault::refused(format!(
                "no description of a GPU is called `{name}`: there are {}",
                Device::names().join(", ")
            ))),
        }
    }

    /// The names that [`Device::named`] takes.
    pub fn names() -> Vec<&'static str> {
        BY_ARCHITECTURE.iter().chain(KNOWN).map(|(name, _)| *name).collect()
    }

    /// The whole description.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// What the GPU calls itself.
    pub fn name(&self) -> &str {
        &self.fields.device_name
    }

    /// The newest CUDA that its driver has: 13000 is 13.0.
    pub fn driver(&self) -> u32 {
        self.fields.driver_ver
    }

    /// `sm_90`
    pub fn architecture(&self) -> String {
        format!("sm_{}", self.fields.device_ver / 10)
    }

    /// What a plan of one GPU and one of another have to have in common. It is what cuDNN 9.28 compares when it loads a plan;
    /// of the driver, the major version.
    pub fn key(&self) -> String {
        let Fields { multi_processor_count, sm_count_origin, memory_bus_width, driver_ver, .. } = self.fields;
        let architecture = self.architecture();
        let driver = driver_ver / 1000;
        let origin = if sm_count_origin == 0 { String::new() } else { format!(" of {sm_count_origin}") };
        format!(
            "{architecture}, {multi_processor_count}{origin} processors, {memory_bus_width} bit, driver {driver}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiled_in_descriptions_are_whole() {
        let h100 = Device::named("sm_90").expect("known");
        assert_eq!(h100, Device::named("h100-sxm").expect("known"));
        assert_eq!(h100.key(), "sm_90, 132 processors, 5120 bit, driver 13");
        let keys = KNOWN.iter().map(|(name, json)| {
            let object: serde_json::Map<_, _> = serde_json::from_str(json).expect("an object");
            // All that cuDNN 9.28 asks for.
            assert_eq!(object.len(), 26, "{name}");
            Device::parse(json).expect("a description").key()
        });
        let mut keys: Vec<String> = keys.collect();
        let all = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all, "two descriptions would share plans");
    }

    #[test]
    fn an_unknown_name_is_told_with_the_known_ones() {
        let error = Device::named("sm_123").expect_err("unknown").to_string();
        assert!(error.contains("`sm_123`") && error.contains("sm_90, h100-sxm"), "{error}");
        let error = Device::parse("{}").expect_err("empty").to_string();
        assert!(error.contains("missing field"), "{error}");
    }
}
