//! (in work)
pub fn prepare() {}
