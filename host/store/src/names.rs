//! Names of containers: which are valid, and random ones like `brisk_heron`.

use crate::error::{Result, StoreError};

const ADJECTIVES: &[&str] = &[
    "agile", "amber", "bold", "breezy", "bright", "brisk", "calm", "clear", "copper", "coral", "crisp", "daring",
    "deft", "dusky", "eager", "early", "fair", "fleet", "foamy", "fresh", "gentle", "golden", "hardy", "hazy", "idle",
    "ivory", "jolly", "keen", "kind", "lively", "lofty", "lucid", "mellow", "merry", "misty", "modest", "neat",
    "nimble", "noble", "patient", "pearly", "placid", "plucky", "proud", "quick", "quiet", "ready", "rosy", "rugged",
    "salty", "serene", "silent", "silver", "sleek", "smooth", "snug", "spry", "steady", "stout", "sunny", "swift",
    "tidy", "vivid", "warm",
];

const NOUNS: &[&str] = &[
    "anchor", "atoll", "bay", "beacon", "bollard", "breaker", "buoy", "cape", "capstan", "cove", "current", "curlew",
    "cutter", "delta", "dinghy", "dolphin", "dory", "eddy", "egret", "ferry", "fjord", "galley", "gannet", "gull",
    "halyard", "harbor", "headland", "heron", "inlet", "island", "jetty", "kayak", "keel", "ketch", "lagoon",
    "lantern", "lugger", "mainsail", "marlin", "mast", "mooring", "narwhal", "osprey", "otter", "pebble", "pelican",
    "petrel", "pier", "puffin", "quay", "reef", "rudder", "sandbar", "schooner", "seal", "sextant", "sloop", "spray",
    "starfish", "tern", "tide", "tiller", "walrus", "wharf",
];

/// Checks a name by Docker's rule.
pub fn check(name: &str) -> Result<()> {
    let good = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-');
    let bytes = name.as_bytes();
    let valid =
        bytes.len() >= 2 && bytes.len() <= 255 && bytes[0].is_ascii_alphanumeric() && bytes.iter().all(|c| good(*c));
    if valid { Ok(()) } else { Err(StoreError::InvalidName(name.to_owned())) }
}

/// A random name. `attempt` counts those that were taken; later ones end with a number.
pub fn random(attempt: u32) -> Result<String> {
    let [a, b, c] = bytes::<3>()?;
    let adjective = ADJECTIVES[usize::from(a) % ADJECTIVES.len()];
    let noun = NOUNS[usize::from(b) % NOUNS.len()];
    Ok(if attempt < 5 { format!("{adjective}_{noun}") } else { format!("{adjective}_{noun}{c}") })
}

/// A container's id: 64 random hexadecimal digits.
pub fn random_id() -> Result<String> {
    Ok(bytes::<32>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| StoreError::Random(e.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_rule() {
        for good in ["ab", "web-1", "a.b_c", "9lives"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "-ab", "_ab", "a/b", "a b", "é1", "../x"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert_eq!(
            check("a/b").unwrap_err().to_string(),
            "Invalid container name (a/b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        );
    }

    #[test]
    fn random_names_are_valid() {
        for attempt in 0..50 {
            check(&random(attempt).unwrap()).unwrap();
        }
        assert_eq!(random_id().unwrap().len(), 64);
        assert_ne!(random_id().unwrap(), random_id().unwrap());
    }
}
