//! Cache keys: a digest over everything that a step's result depends on, field by field.

use shallop_oci::{Digest, Hasher};

/// Raised when the meaning of keys changes; old entries are then never found.
const VERSION: &str = "shallop-build-1";

/// A key being made. Every field carries its name and length, so that no two lists of fields look alike.
pub struct Key(Hasher);

impl Key {
    /// `kind` is the instruction; `layers` the content that the step starts from.
    pub fn new(kind: &str, layers: &[Digest]) -> Key {
        let mut key = Key(Hasher::default());
        key.field("version", VERSION.as_bytes());
        key.field("kind", kind.as_bytes());
        layers.iter().for_each(|layer| key.field("layer", layer.bytes()));
        key
    }

    pub fn field(&mut self, name: &str, value: &[u8]) {
        self.0.update(&(name.len() as u64).to_le_bytes());
        self.0.update(name.as_bytes());
        self.0.update(&(value.len() as u64).to_le_bytes());
        self.0.update(value);
    }

    pub fn fields<S: AsRef<[u8]>>(&mut self, name: &str, values: impl IntoIterator<Item = S>) {
        values.into_iter().for_each(|value| self.field(name, value.as_ref()));
    }

    /// The key, as hexadecimal digits.
    pub fn finish(self) -> String {
        self.0.finish().0.hex()
    }
}
