//! What plans are made for: the GPU behind a handle, or one that a description stands for.

use std::sync::Arc;

use cudarc::cudnn::sys;

use super::descriptor::{Attribute as A, Descriptor, Type, Value};
use super::device::Device;
use super::fault::{Fault, Result};
use super::handle::Handle;
use super::library::{version, version_text};

/// The first version of cuDNN with descriptions of devices.
const OLDEST: usize = 90800;

/// A GPU, at hand or described.
#[derive(Debug)]
pub struct Target<'h> {
    device: Device,
    /// The same as cuDNN's descriptor.
    properties: Arc<Descriptor>,
    handle: Option<&'h Handle>,
}

impl Target<'static> {
    /// A GPU that need not be there. The libraries have to be loaded, as for [`Handle::new`]; a driver need not work.
    ///
    /// # Errors
    /// Where cuDNN is older than 9.8, or does not take the description.
    pub fn described(device: Device) -> Result<Self> {
        new_enough()?;
        let json = Value::Text(device.json());
        let properties = properties(A::CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, json)?;
        Ok(Target { device, properties, handle: None })
    }
}

impl<'h> Target<'h> {
    /// The GPU behind a handle. Its [`Target::device`] has the description that cuDNN writes of it.
    ///
    /// # Errors
    /// Where cuDNN is older than 9.8, or cannot describe it.
    pub fn here(handle: &'h Handle) -> Result<Self> {
        new_enough()?;
        let properties = properties(A::CUDNN_ATTR_DEVICEPROP_HANDLE, Value::Handle(handle.raw()))?;
        let device = Device::parse(&properties.text(A::CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION)?)?;
        Ok(Target { device, properties, handle: Some(handle) })
    }

    /// Which GPU.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The handle, of a GPU that is there.
    pub fn handle(&self) -> Option<&'h Handle> {
        self.handle
    }

    pub(super) fn raw_handle(&self) -> Option<sys::cudnnHandle_t> {
        self.handle.map(Handle::raw)
    }

    /// A descriptor of heuristics is told what for.
    pub(super) fn heuristics(&self) -> Option<(A, Value<'_>)> {
        // With a handle, the graph has said it.
        self.described_only(A::CUDNN_ATTR_ENGINEHEUR_DEVICEPROP)
    }

    /// A descriptor of a plan is told what for.
    pub(super) fn plan(&self) -> (A, Value<'_>) {
        match self.raw_handle() {
            Some(handle) => (A::CUDNN_ATTR_EXECUTION_PLAN_HANDLE, Value::Handle(handle)),
            None => (A::CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, self.parts()),
        }
    }

    fn described_only(&self, attribute: A) -> Option<(A, Value<'_>)> {
        self.handle.is_none().then(|| (attribute, self.parts()))
    }

    fn parts(&self) -> Value<'_> {
        Value::Parts(std::slice::from_ref(&self.properties))
    }
}

fn properties(attribute: A, value: Value<'_>) -> Result<Arc<Descriptor>> {
    Descriptor::with(Type::CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &[(attribute, value)])
}

fn new_enough() -> Result<()> {
    let found = version();
    if found >= OLDEST {
        return Ok(());
    }
    let [found, oldest] = [found, OLDEST].map(version_text);
    Err(Fault::refused(format!("cuDNN {found} is too old: {oldest} or newer is needed")))
}
