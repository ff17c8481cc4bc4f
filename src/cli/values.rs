//! Parsers for what people type: lifetimes, seconds, lists of permissions.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::control::Grant;

/// A lifetime of an invite, written with a unit: `90s`, `30m`, `72h`, `7d`, `2w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// At least 1, at most [`Lifetime::MAX`].
    pub seconds: u64,
}

impl Lifetime {
    /// A year in seconds. A code that is good for longer is a password on paper.
    pub const MAX: u64 = 366 * 24 * 3600;
}

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a time; write it with its unit: 90s, 30m, 72h, 7d, 2w");
        let unit = text.chars().next_back().ok_or_else(wrong)?;
        let seconds_each: u64 = match unit.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 24 * 3600,
            'w' => 7 * 24 * 3600,
            _ => return Err(wrong()),
        };
        let number = &text[..text.len() - unit.len_utf8()];
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds_each));
        match seconds {
            Some(0) => Err("an invite must last at least one second".to_owned()),
            Some(seconds) if seconds <= Self::MAX => Ok(Self { seconds }),
            Some(_) | None => {
                Err(format!("'{text}' is longer than a year; make a new invite when it is needed"))
            }
        }
    }
}

/// A time in seconds, with decimals: `0.2`, `5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl Seconds {
    /// Shorter than this is a flood, not a ping.
    const MIN: f64 = 0.01;
    /// An hour.
    const MAX: f64 = 3600.0;

    /// Whole milliseconds.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(seconds) if (Self::MIN..=Self::MAX).contains(&seconds) => {
                Ok(Self(Duration::from_secs_f64(seconds)))
            }
            Ok(_) | Err(_) => {
                Err(format!("'{text}' is not a number of seconds from {} to {}", Self::MIN, Self::MAX))
            }
        }
    }
}

/// Permissions joined by commas, or `nothing`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow(pub Vec<Grant>);

impl FromStr for Allow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("nothing") {
            return Ok(Self(Vec::new()));
        }
        let grants: Result<_, _> = text.split(',').map(|word| word.trim().parse()).collect();
        grants.map(Self).map_err(|error: crate::control::GrantError| error.to_string())
    }
}

/// A length of time in words, two units at most: `2 d 3 h`, `45 s`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span(pub(super) u64);

impl Span {
    /// The same in one unit, for a column: `2d`, `45s`.
    pub(super) fn short(self) -> String {
        match self.0 {
            seconds @ 0..60 => format!("{seconds}s"),
            seconds @ 60..3600 => format!("{}m", seconds / 60),
            seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
            seconds => format!("{}d", seconds / 86_400),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (big, small) = match self.0 {
            seconds @ 0..60 => return write!(f, "{seconds} s"),
            seconds @ 60..3600 => ((seconds / 60, "min"), (seconds % 60, "s")),
            seconds @ 3600..86_400 => ((seconds / 3600, "h"), (seconds % 3600 / 60, "min")),
            seconds => ((seconds / 86_400, "d"), (seconds % 86_400 / 3600, "h")),
        };
        write!(f, "{} {}", big.0, big.1)?;
        if small.0 > 0 {
            write!(f, " {} {}", small.0, small.1)?;
        }
        Ok(())
    }
}

/// A number of bytes as people read it: `17 B`, `1.2 MiB`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes(pub(super) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].iter();
        let mut unit = units.next().unwrap_or(&"");
        // 999.5 would print as 1000 and widen the column.
        while value >= 999.5 {
            let Some(next) = units.next() else { break };
            value /= 1024.0;
            unit = next;
        }
        if value < 9.95 { write!(f, "{value:.1} {unit}") } else { write!(f, "{value:.0} {unit}") }
    }
}

/// A round trip as people read it: `0.43 ms`, `12 ms`, `1.2 s`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rtt {
    /// Milliseconds.
    pub(super) ms: f64,
}

impl fmt::Display for Rtt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ms {
            ms if ms < 1.0 => write!(f, "{ms:.2} ms"),
            ms if ms < 10.0 => write!(f, "{ms:.1} ms"),
            ms if ms < 1000.0 => write!(f, "{ms:.0} ms"),
            ms => write!(f, "{:.1} s", ms / 1000.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_lifetime_needs_its_unit() {
        assert_eq!("72h".parse::<Lifetime>().unwrap().seconds, 72 * 3600);
        assert_eq!("7D".parse::<Lifetime>().unwrap().seconds, 7 * 24 * 3600);
        for bad in ["72", "", "h", "-1h", "+1h", "1.5h", "0h", "99999999999999999999h", "400d", "7€"] {
            assert!(bad.parse::<Lifetime>().is_err(), "{bad}");
        }
    }

    #[test]
    fn seconds_are_bounded_numbers() {
        assert_eq!("0.2".parse::<Seconds>().unwrap().as_millis(), 200);
        for bad in ["0", "-1", "NaN", "inf", "1e9", "soon"] {
            assert!(bad.parse::<Seconds>().is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_allows_nothing() {
        assert_eq!("nothing".parse(), Ok(Allow(vec![])));
        assert_eq!("files,incoming".parse(), Ok(Allow(vec![Grant::Files, Grant::Incoming])));
        assert!("files,,incoming".parse::<Allow>().is_err());
    }

    #[test]
    fn amounts_read_like_people_write_them() {
        assert_eq!(Span(183_600).to_string(), "2 d 3 h");
        assert_eq!(Span(60).to_string(), "1 min");
        assert_eq!(Bytes(1023).to_string(), "1023 B");
        assert_eq!(Bytes(1_258_291).to_string(), "1.2 MiB");
        assert_eq!(Bytes(1_048_575).to_string(), "1.0 MiB");
        assert_eq!(Rtt { ms: 0.434 }.to_string(), "0.43 ms");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC{0,24}|[0-9]{0,24}[a-z]?") {
            let _ = text.parse::<Seconds>();
            let _ = text.parse::<Allow>();
            if let Ok(lifetime) = text.parse::<Lifetime>() {
                prop_assert!((1..=Lifetime::MAX).contains(&lifetime.seconds));
            }
        }

        #[test]
        fn amounts_stay_short(amount in any::<u64>()) {
            prop_assert!(Bytes(amount).to_string().len() <= 8);
        }
    }
}
