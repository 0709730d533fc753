//! Substitutes: which image of the catalog can stand in for a name that cannot be had, and how it differs.

/// An offer: what to use instead, and every difference that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Substitute {
    /// `catalog.internal/<name>`.
    pub image: String,
    /// It stands in for an image of Alpine Linux: [`APK`] is to tell so to who calls `apk` in it.
    pub alpine: bool,
    pub differences: Vec<String>,
}

/// The `apk` of a stand-in for Alpine: says what the image is, and what to do instead. It installs nothing.
pub const APK: &str = include_str!("../files/stand-in/apk");

/// An image of Docker Hub's library and what can stand in for it.
struct Row {
    name: &'static str,
    image: &'static str,
    /// What its tags count, and the version in the catalog.
    version: Option<(&'static str, &'static str)>,
    /// It is Debian itself: its tags name releases.
    release: bool,
    /// Tags without `slim` or `alpine` hold more: this.
    full: Option<&'static str>,
    differences: &'static [&'static str],
}

const ROW: Row = Row { name: "", image: "", version: None, release: false, full: None, differences: &[] };

const TABLE: &[Row] = &[
    Row {
        name: "alpine",
        image: "busybox",
        differences: &[
            "Debian's busybox in place of Alpine: no musl, no apk, no packages",
            "its programs are one static file; there is no C library for others",
        ],
        ..ROW
    },
    Row {
        name: "busybox",
        image: "busybox",
        version: Some(("busybox", "1.37")),
        differences: &["Debian's static busybox, with other applets; its programs are links in /usr/bin"],
        ..ROW
    },
    Row { name: "debian", image: "debian", release: true, full: Some("manual pages and translations"), ..ROW },
    Row {
        name: "ubuntu",
        image: "debian",
        differences: &[
            "Debian 13 (trixie) in place of Ubuntu: other versions of packages, some other names; no PPAs, no snap",
            "no user ubuntu",
        ],
        ..ROW
    },
    Row {
        name: "python",
        image: "python",
        version: Some(("Python", "3.13")),
        full: Some("a C compiler, git and libraries to compile with"),
        differences: &["Debian's Python, under /usr; /usr/local is an environment of it: sys.base_prefix is /usr"],
        ..ROW
    },
    Row {
        name: "node",
        image: "node",
        version: Some(("Node.js", "20")),
        full: Some("a C compiler, git and Python"),
        differences: &["Debian's Node.js and npm 9, under /usr; no yarn, no corepack"],
        ..ROW
    },
    Row {
        name: "openjdk",
        image: "openjdk",
        version: Some(("OpenJDK", "21")),
        differences: &["Debian's OpenJDK without graphics; JAVA_HOME is /opt/java/openjdk"],
        ..ROW
    },
    Row {
        name: "eclipse-temurin",
        image: "openjdk",
        version: Some(("OpenJDK", "21")),
        differences: &[
            "Debian's OpenJDK in place of Temurin, without graphics",
            "no entrypoint that adds certificates (USE_SYSTEM_CA_CERTS)",
        ],
        ..ROW
    },
    Row {
        name: "nginx",
        image: "nginx",
        version: Some(("nginx", "1.26")),
        differences: &["Debian's nginx, without the modules njs, geoip, image-filter and xslt"],
        ..ROW
    },
    Row {
        name: "redis",
        image: "redis",
        version: Some(("Redis", "8.0")),
        differences: &["Debian's Redis, without the modules for search, JSON, time series and Bloom filters"],
        ..ROW
    },
    Row {
        name: "hello-world",
        image: "hello-world",
        differences: &["a WebAssembly program of shallop's own, with a greeting of its own"],
        ..ROW
    },
];

/// Debian's and Ubuntu's releases, as tags name them.
const RELEASES: &[&str] = &[
    "jessie",
    "stretch",
    "buster",
    "bullseye",
    "bookworm",
    "forky",
    "sid",
    "testing",
    "unstable",
    "oldstable",
    "oldoldstable",
    "focal",
    "jammy",
    "noble",
    "xenial",
    "bionic",
];

/// The substitute for a Docker Hub library image `name` (`python`, `alpine`) with this tag.
pub fn find(name: &str, tag: &str) -> Option<Substitute> {
    let row = TABLE.iter().find(|row| row.name == name)?;
    let words: Vec<&str> = tag.split('-').collect();
    let alpine = row.name == "alpine" || words.iter().any(|word| word.starts_with("alpine"));
    let mut differences = Vec::new();
    if let Some((what, have)) = row.version {
        differences.extend(words.iter().find_map(|word| other_version(what, have, word)));
    }
    differences.extend(row.differences.iter().map(|text| (*text).to_owned()));
    if alpine && row.name != "alpine" {
        differences.push("Debian in place of Alpine: glibc in place of musl, apt-get in place of apk".to_owned());
    }
    let small = alpine || words.contains(&"slim");
    if let Some(more) = row.full.filter(|_| !small) {
        differences.push(format!("as small as the slim variant: without {more}"));
    }
    let old = |word: &&&str| RELEASES.contains(*word) || (row.release && version(word).is_some_and(|v| !same("13", v)));
    if let Some(release) = words.iter().find(old) {
        differences.push(format!("Debian 13 (trixie) in place of {release}"));
    }
    Some(Substitute { image: format!("catalog.internal/{}", row.image), alpine, differences })
}

/// `Python 3.13 in place of 3.9`, when the word of a tag is another version.
fn other_version(what: &str, have: &str, word: &str) -> Option<String> {
    let asked = version(word)?;
    (!same(have, asked)).then(|| format!("{what} {have} in place of {asked}"))
}

/// A word that is a version: it begins with a digit, and holds digits and dots. Java's begin with a letter sometimes
/// (`17u`, `17_35`), and build numbers follow.
fn version(word: &str) -> Option<&str> {
    let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    Some(&word[..end]).filter(|version| !version.is_empty())
}

/// Whether one is a prefix of the other, by whole numbers: `3.13` and `3`, `3.13` and `3.13.2`.
fn same(have: &str, asked: &str) -> bool {
    have.split('.').zip(asked.split('.')).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use super::{TABLE, find};

    fn differences(name: &str, tag: &str) -> String {
        find(name, tag).unwrap().differences.join("\n")
    }

    #[test]
    fn every_row_leads_to_an_image() {
        for row in TABLE {
            assert!(crate::lookup(row.image).is_some() || row.image == "hello-world", "{}", row.name);
        }
    }

    #[test]
    fn versions_are_compared_by_whole_numbers() {
        assert!(differences("python", "3.9-slim").contains("Python 3.13 in place of 3.9"));
        assert!(differences("python", "3.1").contains("in place of 3.1"));
        for tag in ["latest", "3", "3.13", "3.13.2-slim", "slim", "alpine"] {
            assert!(!differences("python", tag).contains("3.13 in place"), "{tag}");
        }
        assert!(differences("node", "18-alpine").contains("Node.js 20 in place of 18"));
        assert!(differences("eclipse-temurin", "17-jdk-jammy").contains("OpenJDK 21 in place of 17"));
        assert!(differences("openjdk", "17.0.2").contains("in place of 17.0.2"));
        assert!(differences("redis", "7").contains("Redis 8.0 in place of 7"));
        assert!(!differences("nginx", "1.26-alpine").contains("in place of 1"));
    }

    #[test]
    fn alpine_is_told_of() {
        for (name, tag) in
            [("alpine", "3.18"), ("python", "3.10-alpine"), ("nginx", "1.27-alpine3.20"), ("redis", "alpine")]
        {
            let found = find(name, tag).unwrap();
            assert!(found.alpine && found.differences.iter().any(|d| d.contains("apk")), "{name}:{tag}");
        }
        assert!(!find("python", "3.10-slim").unwrap().alpine);
    }

    #[test]
    fn releases_and_sizes() {
        assert!(differences("debian", "12-slim").contains("Debian 13 (trixie) in place of 12"));
        assert!(differences("debian", "bookworm").contains("in place of bookworm"));
        assert!(!differences("debian", "13").contains("in place"));
        assert!(differences("python", "3.9-slim-bullseye").contains("in place of bullseye"));
        assert!(differences("python", "3.13").contains("without a C compiler"));
        assert!(differences("ubuntu", "20.04").contains("in place of Ubuntu"));
        assert!(find("postgres", "16").is_none());
    }
}
