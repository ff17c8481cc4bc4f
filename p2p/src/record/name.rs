//! Names that people give to devices and meshes, and what a device says it runs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::{NAME_LENGTH, OS_LENGTH};

/// A name of a device or a mesh: one DNS label of 1 to 25 lower-case letters, digits and single hyphens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is no name; one sentence for each rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("a name needs at least one character")]
    Empty,
    /// More than [`NAME_LENGTH`] characters.
    #[error("a name has at most 25 characters, this one has {0}")]
    TooLong(usize),
    /// A space.
    #[error("a name has no spaces")]
    Space,
    /// A dot.
    #[error("a name has no dots; the mesh's name is added behind it")]
    Dot,
    /// Another character that is not allowed.
    #[error("a name is made of the letters a to z, digits and hyphens, not of {0:?}")]
    Character(char),
    /// `-` first or last.
    #[error("a name neither begins nor ends with a hyphen")]
    OuterHyphen,
    /// `--`.
    #[error("a name has no two hyphens in a row")]
    DoubleHyphen,
    /// A capital letter where the bytes must be canonical.
    #[error("a recorded name is in lower case")]
    UpperCase,
}

impl Name {
    /// The text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name made of `text` as well as can be (a host name, say): other characters become hyphens, the rest is
    /// cut. `None` if nothing is left.
    pub fn from_free_text(text: &str) -> Option<Self> {
        let mut name = String::new();
        for character in text.split('.').next()?.chars() {
            let character = character.to_ascii_lowercase();
            if character.is_ascii_lowercase() || character.is_ascii_digit() {
                name.push(character);
            } else if !name.is_empty() && !name.ends_with('-') {
                name.push('-');
            }
            if name.len() == NAME_LENGTH {
                break;
            }
        }
        name.trim_end_matches('-').parse().ok()
    }

    /// This name with `-number` behind it, cut so that it fits.
    pub(crate) fn numbered(&self, number: u32) -> Self {
        let suffix = format!("-{number}");
        let room = NAME_LENGTH.saturating_sub(suffix.len()).min(self.0.len());
        Self(format!("{}{suffix}", self.0[..room].trim_end_matches('-')))
    }

    fn check(text: &str) -> Result<(), NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        for character in text.chars() {
            match character {
                'a'..='z' | '0'..='9' | '-' => {}
                'A'..='Z' => return Err(NameError::UpperCase),
                '.' => return Err(NameError::Dot),
                other if other.is_whitespace() => return Err(NameError::Space),
                other => return Err(NameError::Character(other)),
            }
        }
        if text.len() > NAME_LENGTH {
            return Err(NameError::TooLong(text.len()));
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(NameError::OuterHyphen);
        }
        if text.contains("--") { Err(NameError::DoubleHyphen) } else { Ok(()) }
    }
}

impl FromStr for Name {
    type Err = NameError;

    /// Reads a name in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.to_ascii_lowercase();
        Self::check(&text)?;
        Ok(Self(text))
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    /// Reads a recorded name, whose case is settled.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::check(&text)?;
        Ok(Self(text))
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({})", self.0)
    }
}

/// The operating system a device says it runs: up to 32 printable ASCII characters, so that printing it cannot
/// steer a terminal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Os(String);

/// The text is too long, or has characters that do not print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system is told in at most 32 printable ASCII characters")]
pub struct OsError;

impl Os {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Os {
    type Error = OsError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if printable && text.len() <= OS_LENGTH { Ok(Self(text)) } else { Err(OsError) }
    }
}

impl FromStr for Os {
    type Err = OsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl From<Os> for String {
    fn from(os: Os) -> Self {
        os.0
    }
}

impl fmt::Display for Os {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
