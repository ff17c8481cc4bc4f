//! What this device does for others: forward their packets, and how many.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// Whether this device forwards for two other members that cannot reach each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Relay {
    /// When others can reach it from outside.
    #[default]
    Auto,
    /// In any case: a port was forwarded by hand, say.
    On,
    /// Never.
    Off,
}

impl FromStr for Relay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            other => Err(format!("'{other}' is not a way to relay; it is \"auto\", \"on\" or \"off\"")),
        }
    }
}

impl fmt::Display for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

/// A number of bytes as people write it: `50GB`, `500 MB`, `1GiB`, or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not an amount; write it with its unit: 500MB, 50GB, 1GiB");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let each: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            "tib" => 1 << 40,
            _ => return Err(wrong()),
        };
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(each));
        bytes.map(Self).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Relay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl de::Visitor<'_> for Written {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of bytes like \"50GB\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Size, E> {
                u64::try_from(number).map(Size).map_err(|_| E::custom("an amount is not negative"))
            }
        }

        deserializer.deserialize_any(Written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_size_has_the_units_people_use() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("10GB", 10_000_000_000),
            ("10 gb", 10_000_000_000),
            ("1GiB", 1 << 30),
            ("500MB", 500_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for bad in ["", "GB", "-1GB", "1.5GB", "1 G B", "10 apples", "99999999TB"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn relaying_reads_as_it_prints_and_is_nothing_else() {
        for relay in [Relay::Auto, Relay::On, Relay::Off] {
            assert_eq!(relay.to_string().parse(), Ok(relay));
        }
        for bad in ["", "true", "ON", "yes", "maybe"] {
            assert!(bad.parse::<Relay>().unwrap_err().contains("auto"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_size_panic(text in "\\PC{0,24}|[0-9]{0,24} ?[a-zA-Z]{0,3}") {
            let _ = text.parse::<Size>();
        }
    }
}
