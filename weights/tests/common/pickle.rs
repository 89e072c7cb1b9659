//! Writes pickles, instruction by instruction (see CPython's `Lib/pickletools.py`).

/// A tensor as `torch._utils._rebuild_tensor_v2` gets it.
#[derive(Clone)]
pub struct Tensor {
    pub name: &'static str,
    pub key: &'static str,
    pub storage: &'static str,
    pub elements: i64,
    pub offset: i64,
    pub sizes: Vec<i64>,
    pub strides: Vec<i64>,
}

impl Tensor {
    /// Of `f32`, in one piece, alone in the storage of that key.
    pub fn new(name: &'static str, key: &'static str, sizes: &[i64]) -> Self {
        let mut strides = vec![1; sizes.len()];
        for i in (1..sizes.len()).rev() {
            strides[i - 1] = strides[i] * sizes[i];
        }
        let elements = sizes.iter().product();
        Tensor { name, key, storage: "FloatStorage", elements, offset: 0, sizes: sizes.to_vec(), strides }
    }
}

/// A pickle that is being written.
pub struct Pickle(Vec<u8>);

impl Pickle {
    pub fn new() -> Self {
        Pickle(vec![0x80, 2])
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn stop(self) -> Vec<u8> {
        self.raw(b".").0
    }

    pub fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub fn text(self, text: &str) -> Self {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    pub fn int(self, number: i64) -> Self {
        match i32::try_from(number) {
            Ok(number) => self.raw(b"J").raw(&number.to_le_bytes()),
            Err(_) => self.long(&number.to_le_bytes()),
        }
    }

    pub fn long(self, bytes: &[u8]) -> Self {
        self.raw(&[0x8a, bytes.len() as u8]).raw(bytes)
    }

    pub fn none(self) -> Self {
        self.raw(b"N")
    }

    pub fn truth(self, truth: bool) -> Self {
        self.raw(&[if truth { 0x88 } else { 0x89 }])
    }

    pub fn mark(self) -> Self {
        self.raw(b"(")
    }

    pub fn tuple(self) -> Self {
        self.raw(b"t")
    }

    pub fn empty_tuple(self) -> Self {
        self.raw(b")")
    }

    pub fn empty_dict(self) -> Self {
        self.raw(b"}")
    }

    pub fn empty_list(self) -> Self {
        self.raw(b"]")
    }

    pub fn append_all(self) -> Self {
        self.raw(b"e")
    }

    pub fn set_items(self) -> Self {
        self.raw(b"u")
    }

    pub fn set_item(self) -> Self {
        self.raw(b"s")
    }

    pub fn call(self) -> Self {
        self.raw(b"R")
    }

    fn sizes(self, sizes: &[i64]) -> Self {
        sizes.iter().fold(self.mark(), |pickle, &size| pickle.int(size)).tuple()
    }

    /// The storage of a tensor.
    pub fn storage(self, tensor: &Tensor) -> Self {
        let id = self.mark().text("storage").global("torch", tensor.storage).text(tensor.key).text("cpu");
        id.int(tensor.elements).tuple().raw(b"Q")
    }

    pub fn tensor(self, tensor: &Tensor) -> Self {
        let call =
            self.global("torch._utils", "_rebuild_tensor_v2").mark().storage(tensor).int(tensor.offset);
        let call = call.sizes(&tensor.sizes).sizes(&tensor.strides).truth(false);
        call.global("collections", "OrderedDict").empty_tuple().call().tuple().call()
    }

    /// An `OrderedDict` of tensors, with attributes as a module's state has them.
    pub fn ordered(self, tensors: &[Tensor]) -> Self {
        let dict = self.global("collections", "OrderedDict").empty_tuple().call().mark();
        let dict =
            tensors.iter().fold(dict, |dict, tensor| dict.text(tensor.name).tensor(tensor)).set_items();
        dict.empty_dict().text("_metadata").empty_dict().set_item().raw(b"b")
    }
}
