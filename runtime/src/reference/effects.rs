//! What kernels are given and what they make, both by the names of their operand tables.

use candle_core::{DType, Result, Tensor, bail};
use resnetc_compiler::plan::Operands;

use crate::error::Error;

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Error::Device(format!("reference: {error}"))
    }
}

/// What a kernel made: values of its outputs and of the inputs it updates. What its table does not name is not wanted.
pub(super) type Effects = Vec<(&'static str, Tensor)>;

/// Values of a kernel's inputs.
pub(super) struct Given<'a> {
    table: &'a Operands,
    inputs: &'a [Tensor],
}

impl<'a> Given<'a> {
    /// The inputs in the order of the table.
    pub fn new(table: &'a Operands, inputs: &'a [Tensor]) -> Result<Self> {
        if table.inputs.len() != inputs.len() {
            bail!("it has {} inputs, its kernel takes {}", inputs.len(), table.inputs.len());
        }
        Ok(Given { table, inputs })
    }

    /// All inputs of a name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a Tensor> {
        let named = self.table.inputs.iter().zip(self.inputs);
        named.filter(move |(operand, _)| operand.name == name).map(|(_, value)| value)
    }

    /// An optional input.
    pub fn find(&self, name: &str) -> Option<&'a Tensor> {
        self.all(name).next()
    }

    /// An input that is always there.
    pub fn get(&self, name: &str) -> Result<&'a Tensor> {
        match self.find(name) {
            Some(value) => Ok(value),
            None => bail!("its kernel has no input `{name}`"),
        }
    }

    /// An input that is one whole number: a counter or a seed.
    pub fn whole(&self, name: &str) -> Result<u64> {
        Ok(self.get(name)?.flatten_all()?.get(0)?.to_scalar::<i64>()? as u64)
    }

    /// An input that is one number.
    pub fn number(&self, name: &str) -> Result<f64> {
        self.get(name)?.flatten_all()?.get(0)?.to_dtype(DType::F64)?.to_scalar::<f64>()
    }

    /// Whether the kernel has an optional output.
    pub fn wants(&self, name: &str) -> bool {
        self.table.outputs.iter().any(|operand| operand.name == name)
    }
}

/// The value of an output, or of an updated input.
pub(super) fn made<'a>(effects: &'a Effects, name: &str) -> Result<&'a Tensor> {
    match effects.iter().find(|(made, _)| *made == name) {
        Some((_, value)) => Ok(value),
        None => bail!("`{name}` is not computed"),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use resnetc_compiler::ir::op::PoolAttrs;
    use resnetc_compiler::plan::Kernel;
    use resnetc_compiler::plan::PoolGeometry;
    use resnetc_compiler::plan::kernel::{Concat, MaxPool};

    use super::*;

    fn value(len: usize) -> Tensor {
        Tensor::zeros(len, DType::F32, &Device::Cpu).expect("a small tensor")
    }

    fn pool(positions: bool) -> Operands {
        let attrs =
            PoolAttrs { kernel: [2, 2], stride: [2, 2], padding: [0, 0], ceil: false, count_padding: false };
        let geometry = PoolGeometry { n: 1, h: 4, w: 4, c: 1, out: [2, 2], attrs };
        Kernel::from(MaxPool { geometry, positions }).operands().expect("sizes that fit")
    }

    #[test]
    fn operands_are_found_by_name() {
        let table =
            Kernel::from(Concat { rows: 1, channels: vec![2, 3] }).operands().expect("sizes that fit");
        let inputs = [value(2), value(3)];
        let given = Given::new(&table, &inputs).expect("two parts");
        assert_eq!(given.all("part").map(Tensor::elem_count).collect::<Vec<_>>(), [2, 3]);
        assert!(given.find("residual").is_none());
        let error = given.get("residual").expect_err("there is none");
        assert!(error.to_string().contains("`residual`"), "{error}");
    }

    #[test]
    fn optional_outputs_are_wanted_where_the_table_has_them() {
        for positions in [true, false] {
            let (table, inputs) = (pool(positions), [value(16)]);
            assert_eq!(Given::new(&table, &inputs).expect("one map").wants("positions"), positions);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = made(&vec![("y", value(1))], "positions").expect_err("not made");
        assert!(error.to_string().contains("`positions`"), "{error}");
        assert!(Given::new(&pool(false), &[]).is_err());
    }
}
