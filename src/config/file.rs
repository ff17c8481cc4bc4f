//! The configuration file as people write it. What it does not know is an error, with the line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de};

use super::Subnet;
use crate::control::{Cause, Failure, Grant, Result};

/// Much more than every setting with a page of comments.
const SIZE_MAX: u64 = 64 * 1024;

/// What a file sets; everything may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Folder of keys and records.
    pub state: Option<PathBuf>,
    /// The local API's socket.
    pub socket: Option<PathBuf>,
    /// UDP port, 1 to 65535.
    #[serde(deserialize_with = "port")]
    #[serde(default)]
    pub port: Option<u16>,
    /// Name of the network interface.
    pub tun: Option<String>,
    /// Largest packet inside the tunnel, in bytes.
    pub mtu: Option<u16>,
    /// Whether to look for members in the local network.
    pub mdns: Option<bool>,
    /// What this device wants to be called.
    pub name: Option<String>,
    /// Name of the mesh, should one be founded.
    pub mesh: Option<String>,
    /// IPv4 network of the mesh, should one be founded.
    pub subnet: Option<Subnet>,
    /// What other people's devices may do here until told otherwise.
    pub allow: Option<Vec<Grant>>,
    /// The public network in which members find each other; off unless it names a node.
    pub rendezvous: Option<Rendezvous>,
}

/// The part `[rendezvous]` of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rendezvous {
    /// Addresses of nodes to begin with, like `/dns4/node.example.org/tcp/4001/p2p/12D3KooW...`. None: it is off.
    #[serde(default)]
    pub bootstrap: Vec<String>,
    /// The name of the network's Kademlia protocol.
    pub protocol: Option<String>,
}

/// Reads the file the user named, or the usual one if it is there.
pub fn read(named: Option<&Path>) -> Result<File> {
    let path = named.unwrap_or_else(|| Path::new(super::paths::FILE));
    let shown = path.display();
    let invalid = |message: String| Failure::new(Cause::ConfigInvalid, message);
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {
            return Ok(File::default());
        }
        Err(error) => return Err(invalid(format!("cannot read the configuration {shown}: {error}"))),
        Ok(meta) if meta.is_file() && meta.len() > SIZE_MAX => {
            return Err(invalid(format!(
                "{shown} is larger than {SIZE_MAX} bytes, which no configuration is"
            )));
        }
        Ok(_) => {}
    }
    let text = fs::read_to_string(path)
        .map_err(|error| invalid(format!("cannot read the configuration {shown}: {error}")))?;
    parse(&text).map_err(|problem| {
        let at = problem.line.map_or_else(String::new, |line| format!(", line {line}"));
        invalid(format!("{shown}{at}: {}", problem.message))
            .hint("nothing was started: a setting that is not understood might be one you rely on")
    })
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which line, from 1.
    pub line: Option<usize>,
    /// What is wrong, in one line.
    pub message: String,
}

/// Reads the text of a file.
pub fn parse(text: &str) -> std::result::Result<File, Problem> {
    toml::from_str(text).map_err(|error| Problem {
        line: error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1),
        message: error.message().replace('\n', " "),
    })
}

fn port<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<u16>, D::Error> {
    match u16::deserialize(deserializer)? {
        0 => Err(de::Error::custom("port 0 is none; ports are 1 to 65535")),
        port => Ok(Some(port)),
    }
}

impl<'de> Deserialize<'de> for Subnet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_sets_nothing() {
        assert_eq!(parse("# nothing\n").unwrap(), File::default());
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let problem = parse("port = 41820\n\nownership = true\n").unwrap_err();
        assert_eq!(problem.line, Some(3));
        assert!(problem.message.contains("unknown field `ownership`"), "{}", problem.message);
    }

    #[test]
    fn an_unknown_permission_is_refused_with_its_line() {
        let problem = parse("mdns = true\nallow = [\"incoming\", \"root\"]\n").unwrap_err();
        assert_eq!(problem.line, Some(2));
        assert!(problem.message.contains("'root' is not a permission"), "{}", problem.message);
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused() {
        for text in
            ["port = 0", "port = 65536", "mdns = \"maybe\"", "subnet = \"100.64.0.1/10\"", "mtu = \"big\""]
        {
            assert_eq!(parse(text).unwrap_err().line, Some(1), "{text}");
        }
    }
}
