//! Sizes as people write them: [`parse`].

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    #[error("'{0}' is no unit; write k, m or g")]
    Unit(String),
    #[error("a number is wanted")]
    Number,
}

/// Bytes of `64m`, `1.5g`, `4096`.
///
/// # Errors
/// [`SizeError`].
pub fn parse(text: &str) -> Result<u64, SizeError> {
    let lower = text.to_ascii_lowercase();
    let (digits, unit) = lower.split_at(lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len()));
    let shift = match unit {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        _ => return Err(SizeError::Unit(unit.to_owned())),
    };
    let number: f64 = digits.parse().map_err(|_| SizeError::Number)?;
    Ok((number * f64::from(1u32 << shift)) as u64)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes() {
        assert_eq!(parse("64m"), Ok(64 << 20));
        assert_eq!(parse("1.5GB"), Ok(3 << 29));
        assert_eq!(parse("4096"), Ok(4096));
        for wrong in ["x", "", "12q", "1e9", "inf", "nan", "-1g", "1.2.3g"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
