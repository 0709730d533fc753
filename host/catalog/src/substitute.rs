//! Substitutes: which image of the catalog can stand in for a name that cannot be had, and how it differs.

/// An offer: what to use instead, and every difference that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Substitute {
    /// `catalog.internal/<name>`.
    pub image: String,
    pub differences: Vec<String>,
}

/// The substitute for a Docker Hub library image `name` (`python`, `alpine`) with this tag.
pub fn find(name: &str, tag: &str) -> Option<Substitute> {
    let mut differences = Vec::new();
    let catalog = match name {
        "python" => {
            let version = tag.split('-').next().unwrap_or_default();
            if version.starts_with(|c: char| c.is_ascii_digit()) && !"3.13".starts_with(version) {
                differences.push(format!("Python 3.13 in place of {version}"));
            }
            differences.push("Debian's Python, under /usr; pip is not in it".to_owned());
            "python"
        }
        "debian" => "debian",
        "ubuntu" => {
            differences.push("Debian 13 in place of Ubuntu".to_owned());
            "debian"
        }
        "alpine" => {
            differences.push("Debian's busybox in place of Alpine: glibc, and no apk".to_owned());
            "busybox"
        }
        "busybox" => "busybox",
        "hello-world" => "hello-world",
        _ => return None,
    };
    if tag.contains("alpine") {
        differences.push("Debian in place of Alpine: glibc, and no apk".to_owned());
    }
    let release = tag.split('-').find(|word| matches!(*word, "bookworm" | "bullseye" | "buster" | "sid" | "12" | "11"));
    if let Some(release) = release.filter(|_| catalog != "busybox") {
        differences.push(format!("Debian 13 (trixie) in place of {release}"));
    }
    Some(Substitute { image: format!("catalog.internal/{catalog}"), differences })
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn differences_are_named() {
        let python = find("python", "3.9-slim").unwrap();
        assert_eq!(python.image, "catalog.internal/python");
        assert!(python.differences.iter().any(|d| d.contains("3.13 in place of 3.9")));
        let alpine = find("python", "alpine").unwrap();
        assert!(alpine.differences.iter().any(|d| d.contains("no apk")));
        assert!(find("python", "3.13").unwrap().differences.iter().all(|d| !d.contains("in place of 3")));
        assert!(find("nginx", "latest").is_none());
    }
}
