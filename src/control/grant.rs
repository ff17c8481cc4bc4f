//! What one device allows another, as people write it: `incoming`, `files`, `routing`, `lan`, `tcp/22`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One permission, as typed on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// May open connections to this device.
    Incoming,
    /// May offer files to this device.
    Files,
    /// May use this device as exit.
    Routing,
    /// May reach the private networks of this device through it.
    Lan,
    /// May open connections to these ports of this device.
    Ports(Ports),
}

/// A protocol and a run of its ports, written `tcp/22` or `udp/27015-27030`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// First port, never zero.
    pub first: u16,
    /// Last port, not below the first.
    pub last: u16,
}

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Transmission Control Protocol.
    Tcp,
    /// User Datagram Protocol.
    Udp,
}

/// Everything that one device allows another. Empty allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// May open connections.
    #[serde(default)]
    pub incoming: bool,
    /// May offer files.
    #[serde(default)]
    pub files: bool,
    /// May use the device as exit.
    #[serde(default)]
    pub routing: bool,
    /// May reach the device's private networks.
    #[serde(default)]
    pub lan: bool,
    /// May open connections to these ports.
    #[serde(default)]
    pub ports: Vec<Ports>,
}

/// What was typed is not a permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Not one of the words, nor a protocol with ports.
    #[error("'{0}' is not a permission; there are incoming, files, routing, lan, tcp/PORT and udp/PORT")]
    Unknown(String),
    /// A port that is no number from 1 to 65535, or a run that ends before it starts.
    #[error("'{0}' is not a port from 1 to 65535, nor a range like 8000-8080")]
    Port(String),
}

impl Grants {
    /// The sum of some single permissions.
    pub fn of(grants: impl IntoIterator<Item = Grant>) -> Self {
        let mut all = Self::default();
        for grant in grants {
            all.allow(grant);
        }
        all
    }

    /// Adds a permission; false if it was there already.
    pub fn allow(&mut self, grant: Grant) -> bool {
        match grant {
            Grant::Incoming => !std::mem::replace(&mut self.incoming, true),
            Grant::Files => !std::mem::replace(&mut self.files, true),
            Grant::Routing => !std::mem::replace(&mut self.routing, true),
            Grant::Lan => !std::mem::replace(&mut self.lan, true),
            Grant::Ports(ports) => {
                let new = !self.ports.contains(&ports);
                if new {
                    self.ports.push(ports);
                    self.ports.sort_unstable();
                }
                new
            }
        }
    }

    /// Takes a permission away; false if it was not there.
    pub fn deny(&mut self, grant: Grant) -> bool {
        match grant {
            Grant::Incoming => std::mem::take(&mut self.incoming),
            Grant::Files => std::mem::take(&mut self.files),
            Grant::Routing => std::mem::take(&mut self.routing),
            Grant::Lan => std::mem::take(&mut self.lan),
            Grant::Ports(ports) => {
                let before = self.ports.len();
                self.ports.retain(|held| *held != ports);
                self.ports.len() != before
            }
        }
    }

    /// The single permissions, in a fixed order.
    pub fn list(&self) -> Vec<Grant> {
        let words = [
            (self.incoming, Grant::Incoming),
            (self.files, Grant::Files),
            (self.routing, Grant::Routing),
            (self.lan, Grant::Lan),
        ];
        let mut list: Vec<_> = words.into_iter().filter_map(|(held, grant)| held.then_some(grant)).collect();
        list.extend(self.ports.iter().copied().map(Grant::Ports));
        list
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.list();
        if list.is_empty() {
            return f.write_str("nothing");
        }
        for (place, grant) in list.iter().enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{grant}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incoming => f.write_str("incoming"),
            Self::Files => f.write_str("files"),
            Self::Routing => f.write_str("routing"),
            Self::Lan => f.write_str("lan"),
            Self::Ports(ports) => ports.fmt(f),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        match (self.first, self.last) {
            (first, last) if first == last => write!(f, "{protocol}/{first}"),
            (first, last) => write!(f, "{protocol}/{first}-{last}"),
        }
    }
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        match text.to_ascii_lowercase().as_str() {
            "incoming" => Ok(Self::Incoming),
            "files" => Ok(Self::Files),
            "routing" => Ok(Self::Routing),
            "lan" => Ok(Self::Lan),
            _ => text.parse().map(Self::Ports),
        }
    }
}

impl FromStr for Ports {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let unknown = || GrantError::Unknown(text.to_owned());
        let (protocol, ports) = text.split_once('/').ok_or_else(unknown)?;
        let protocol = match protocol.to_ascii_lowercase().as_str() {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(unknown()),
        };
        let port = |port: &str| match port.parse() {
            Ok(port @ 1..) if !text.contains('+') => Ok(port),
            _ => Err(GrantError::Port(ports.to_owned())),
        };
        let (first, last) = match ports.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(ports)?, port(ports)?),
        };
        if first > last {
            return Err(GrantError::Port(ports.to_owned()));
        }
        Ok(Self { protocol, first, last })
    }
}

/// On the wire and in the configuration file these are what people type.
macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(Grant);
as_text!(Ports);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_permission_reads_as_it_prints() {
        for text in ["incoming", "files", "routing", "lan", "tcp/22", "udp/27015-27030"] {
            assert_eq!(text.parse::<Grant>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_permission_says_which_there_are() {
        let error = "sudo".parse::<Grant>().unwrap_err().to_string();
        assert!(error.contains("incoming, files, routing, lan"), "{error}");
        for text in ["tcp/0", "tcp/65536", "tcp/9-8", "tcp/", "tcp/+22", "tcp/1-2-3", "sctp/22", "/22"] {
            assert!(text.parse::<Grant>().is_err(), "{text}");
        }
    }

    #[test]
    fn allowing_twice_changes_nothing_the_second_time() {
        let mut grants = Grants::default();
        let ssh = "tcp/22".parse().unwrap();
        assert!(grants.allow(ssh));
        assert!(!grants.allow(ssh));
        assert!(grants.deny(ssh));
        assert!(!grants.deny(ssh));
        assert_eq!(grants, Grants::default());
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_round_trips(text in "\\PC{0,20}|(tcp|udp)/[0-9+-]{0,12}") {
            if let Ok(grant) = text.parse::<Grant>() {
                prop_assert_eq!(grant.to_string().parse::<Grant>().unwrap(), grant);
            }
        }
    }
}
