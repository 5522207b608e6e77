//! Settings from environment variables.

use std::fmt;

/// A setting that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError {
    /// The environment variable, or the name of the argument.
    pub name: &'static str,
    /// What it was set to.
    pub value: String,
    /// What it may be.
    pub expected: String,
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={:?}: expected {}", self.name, self.value, self.expected)
    }
}

impl std::error::Error for SettingError {}

/// Reads a number from `least` to `most`. An empty value counts as none.
pub fn parse_number(
    name: &'static str,
    value: &str,
    least: usize,
    most: usize,
) -> Result<Option<usize>, SettingError> {
    let digits = value.trim();
    if digits.is_empty() {
        return Ok(None);
    }
    match digits.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
        _ => Err(SettingError {
            name,
            value: value.to_owned(),
            expected: format!("a whole number from {least} to {most}"),
        }),
    }
}

/// Reads an environment variable with [`parse_number`]; None if it is not set.
pub fn number_from_environment(
    name: &'static str,
    least: usize,
    most: usize,
) -> Result<Option<usize>, SettingError> {
    match std::env::var_os(name) {
        None => Ok(None),
        Some(value) => parse_number(name, &value.to_string_lossy(), least, most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_range_are_read() {
        assert_eq!(parse_number("N", "4", 1, 8), Ok(Some(4)));
        assert_eq!(parse_number("N", " 8\n", 1, 8), Ok(Some(8)));
        assert_eq!(parse_number("N", "", 1, 8), Ok(None));
    }

    #[test]
    fn nonsense_is_named() {
        for value in ["0", "9", "-1", "two", "1.5", "1e3", "99999999999999999999999"] {
            let error = parse_number("NEURENIX_NUM_THREADS", value, 1, 8).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("NEURENIX_NUM_THREADS={value:?}: expected a whole number from 1 to 8"),
            );
        }
    }
}
