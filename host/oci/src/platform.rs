//! [`Platform`]: operating system and architecture, as `linux/riscv64`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The platform of an image. Fields as in an OCI index.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Why a text is no platform. Worded as containerd does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is an invalid platform: {why}")]
pub struct PlatformError {
    pub text: String,
    pub why: &'static str,
}

impl Platform {
    /// A platform without variant.
    pub fn new(os: &str, architecture: &str) -> Platform {
        Platform { architecture: architecture.to_owned(), os: os.to_owned(), os_version: None, variant: None }
    }

    /// `linux/riscv64`, the default.
    pub fn linux_riscv64() -> Platform {
        Platform::new("linux", "riscv64")
    }

    /// `wasi/wasm`: a WASI module. Which preview it needs, the module itself says.
    pub fn wasi_wasm() -> Platform {
        Platform::new("wasi", "wasm")
    }

    /// Whether shallop runs it.
    pub fn is_supported(&self) -> bool {
        self.is_linux() || self.is_wasi()
    }

    /// `linux/riscv64`.
    pub fn is_linux(&self) -> bool {
        self.os == "linux" && self.architecture == "riscv64"
    }

    /// `wasi/wasm` and its older names.
    pub fn is_wasi(&self) -> bool {
        matches!(self.os.as_str(), "wasi" | "wasip1" | "wasip2") && self.architecture == "wasm"
    }

    /// The same platform under its usual names.
    pub fn normalized(mut self) -> Platform {
        self.os.make_ascii_lowercase();
        self.architecture.make_ascii_lowercase();
        if self.is_wasi() || (self.os == "wasi" && self.architecture == "wasm32") {
            return Platform::wasi_wasm();
        }
        let (architecture, variant) = match (self.architecture.as_str(), self.variant.as_deref()) {
            ("x86_64" | "x86-64", _) => ("amd64", None),
            ("aarch64" | "arm64", None | Some("v8" | "8")) => ("arm64", None),
            ("i386", _) => ("386", None),
            (_, variant) => (self.architecture.as_str(), variant),
        };
        Platform { architecture: architecture.to_owned(), variant: variant.map(str::to_owned), ..self }
    }

    /// Whether an image of platform `other` serves who asked for this one.
    pub fn matches(&self, other: &Platform) -> bool {
        let (a, b) = (self.clone().normalized(), other.clone().normalized());
        a.os == b.os && a.architecture == b.architecture && (a.variant.is_none() || a.variant == b.variant)
    }
}

impl Default for Platform {
    fn default() -> Platform {
        Platform::linux_riscv64()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// `os/architecture[/variant]`, or one of the two words alone where that is clear.
    fn from_str(text: &str) -> Result<Platform, PlatformError> {
        let fail = |why| PlatformError { text: text.to_owned(), why };
        let words: Vec<&str> = text.split('/').collect();
        let good = |w: &&str| {
            w.bytes().any(|c| c.is_ascii_alphanumeric())
                && w.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c))
        };
        if !words.iter().all(good) {
            return Err(fail("each part consists of letters, digits, '_', '.' and '-'"));
        }
        let platform = match words[..] {
            [os @ ("linux" | "windows" | "darwin" | "freebsd")] => Platform::new(os, "riscv64"),
            ["wasi" | "wasip1" | "wasip2" | "wasm"] => Platform::wasi_wasm(),
            [architecture] => Platform::new("linux", architecture),
            [os, architecture] => Platform::new(os, architecture),
            [os, architecture, variant] => {
                Platform { variant: Some(variant.to_owned()), ..Platform::new(os, architecture) }
            }
            _ => return Err(fail("it has the form os/architecture[/variant]")),
        };
        Ok(platform.normalized())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalized() {
        for (text, shown) in [
            ("linux/riscv64", "linux/riscv64"),
            ("riscv64", "linux/riscv64"),
            ("linux", "linux/riscv64"),
            ("wasi/wasm", "wasi/wasm"),
            ("wasip1/wasm", "wasi/wasm"),
            ("wasip2/wasm", "wasi/wasm"),
            ("wasi/wasm32", "wasi/wasm"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/aarch64/v8", "linux/arm64"),
            ("linux/arm/v7", "linux/arm/v7"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), shown, "{text}");
        }
        assert!(Platform::default().is_supported() && !Platform::new("linux", "amd64").is_supported());
        assert!(Platform::wasi_wasm().matches(&Platform::new("wasip1", "wasm")));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "/", "linux/", "a/b/c/d", "lin ux/riscv64", "linux/../x"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }
}
